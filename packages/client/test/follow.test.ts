import type { CallMatcher } from "@holdfast/dev-homeserver/faults";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

/** Alice, whose device she has signed, and a client of Bob's that only reads, in an encrypted room. */
async function readOnly(decryptionTrust: "cross-signed" | "untrusted") {
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const sender = await world.connected(alice);
  await sender.client.trust.crossSigning.bootstrap({ password: "password of alice" });
  const reader = await world.connected(bob, { decryptionTrust });
  const room = await world.room([alice, bob]);
  const query: CallMatcher = {
    path: "/keys/query",
    userId: bob.credentials.userId,
    where: ({ body }) => alice.credentials.userId in (body.device_keys as object),
  };
  return { sender, reader, room, query };
}

describe("a client that only reads", () => {
  it("knows who is cross-signed, and reads what they send", async () => {
    const { sender, reader, room } = await readOnly("cross-signed");
    await sender.say(room, "hello");
    await reader.until(() => reader.bodies.length === 1);
    expect(reader.bodies).toEqual(["hello"]);
  });

  it("has nothing to warn of in what a signed device sends, and has asked once who they are", async () => {
    const { sender, reader, room, query } = await readOnly("untrusted");
    const { journal } = world.homeserver;
    await journal.answered(query);
    for (const body of ["one", "two", "three"]) await sender.say(room, body);
    await reader.until(() => reader.bodies.length === 3);
    expect(reader.messages.map(({ trust }) => trust?.shield)).toEqual(["none", "none", "none"]);
    expect(journal.entries(query)).toHaveLength(1);
  });
});
