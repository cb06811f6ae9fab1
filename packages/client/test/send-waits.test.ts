import type { DevHomeserver } from "@holdfast/dev-homeserver";
import { describe, expect, it } from "vitest";
import { bodiesSeenBy, fault, MEGOLM, party, refuse } from "./support/dev-rooms.ts";
import { type Stage, sendText, useStage } from "./support/stage.ts";

let stage: Stage;
let homeserver: DevHomeserver;

useStage((made) => {
  stage = made;
  homeserver = stage.homeserver;
});

/** A claim of one-time keys for Carol, which the homeserver does not answer. */
async function hangingClaim() {
  const { sender, alice, room } = await stage.talk();
  await sendText(sender, room, "there is a session with Alice");
  const carol = await party(homeserver, "carol");
  const [slow, other] = [
    await sender.createRoom({ encryption: MEGOLM, invite: [carol.userId] }),
    await sender.createRoom({ encryption: MEGOLM, invite: [carol.userId, alice.userId] }),
  ];
  await sender.sync();
  const asked = Promise.withResolvers<void>();
  fault(homeserver, { route: "/keys/claim", user: sender.login.userId }, 1, (call) => {
    asked.resolve();
    return new Promise((resolve) => call.signal.addEventListener("abort", () => resolve("hang up")));
  });
  const preparing = sender.encryptor.prepare(slow).catch((error) => error);
  await asked.promise;
  return { sender, alice, room, other, preparing };
}

describe("a claim of one-time keys that is not answered", () => {
  it("holds up no message that needs none", async () => {
    const { sender, alice, room } = await hangingClaim();
    await sendText(sender, room, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["there is a session with Alice", "hello"]);
  });

  it("is waited for by another claim for as long as its caller wants", async () => {
    const { sender, other } = await hangingClaim();
    const giveUp = new AbortController();
    const waiting = sender.encryptor.prepare(other, giveUp.signal).catch((error) => error);
    const behind = sender.encryptor.prepare(other, giveUp.signal).catch((error) => error);
    const reason = new Error("no patience");
    giveUp.abort(reason);
    expect(await Promise.all([waiting, behind])).toEqual([reason, reason]);
  });

  it("ends when the client closes, and what waits for it", async () => {
    const { sender, other, preparing } = await hangingClaim();
    const sending = sendText(sender, other, "hello").catch((error) => error);
    await sender.close();
    expect(await preparing).toMatchObject({ code: "CLOSED" });
    expect(await sending).toMatchObject({ code: "CLOSED" });
  });
});

describe("a message whose homeserver asks to wait", () => {
  it.each(["/rooms/{roomId}/members", "/keys/claim", "/sendToDevice/{eventType}/{txnId}"])(
    "for %s is sent when it has waited",
    async (route) => {
      const { sender, alice, room } = await stage.talk();
      const limited = refuse(429, "M_LIMIT_EXCEEDED", { retry_after_ms: 1 });
      const { count } = fault(homeserver, { route, user: sender.login.userId }, 2, limited);
      await sendText(sender, room, "hello");
      expect(count()).toBeGreaterThan(2);
      expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    },
  );

  it("to be told whether the room is encrypted is sent when it has waited", async () => {
    const sender = await stage.bot();
    const room = await sender.createRoom({ encryption: MEGOLM });
    const limited = refuse(429, "M_LIMIT_EXCEEDED", { retry_after_ms: 1 });
    const { count } = fault(homeserver, { route: "/state/{eventType}/{stateKey?}" }, 2, limited);
    await sendText(sender, room, "hello");
    expect(count()).toBeGreaterThan(2);
    expect((await sender.timeline(room)).map(({ type }) => type)).toEqual(["m.room.encrypted"]);
  });
});
