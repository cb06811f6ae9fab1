import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { matrixStats, openOlmMachine } from "../src/index.ts";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

const key = new Uint8Array(32).fill(7);

/** Two clients on one key store, the first of whom has sent the second two messages in rooms of their own. */
async function twoOnOneStore() {
  const storage = new MemoryStorage();
  const keyStores = [{ name: "memory", create: async () => new MemoryKeyStore({ storage }) }];
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const sender = await world.connected(alice, { keyStores });
  const reader = await world.connected(bob, { keyStores });
  for (const body of ["one", "two"]) {
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, body);
  }
  await reader.until(() => reader.messages.length === 2);
  return { storage, alice, sender, reader };
}

describe("the figures in Matrix's terms", () => {
  it("are those of the client's own device, and not of others in its key store", async () => {
    const { sender, reader } = await twoOnOneStore();
    const [sent, read] = [await sender.client.stats(), await reader.client.stats()];
    const own = { olmAccounts: 1, olmSessions: 1, inboundMegolmSessions: 2, backedUpMegolmSessions: 0 };
    expect(sent.matrix).toMatchObject({ ...own, outboundMegolmSessions: 2 });
    expect(read.matrix).toMatchObject({ ...own, outboundMegolmSessions: 0 });
    const usage = sent.store?.usage;
    expect(usage && matrixStats(usage.collections, usage.devices)).toMatchObject({
      olmAccounts: 2,
      olmSessions: 2,
      inboundMegolmSessions: 4,
      outboundMegolmSessions: 2,
    });
  });

  it("are not known once the client is closed, and are had from the engine's own device", async () => {
    const { storage, alice, sender } = await twoOnOneStore();
    const { matrix } = await sender.client.stats();
    await sender.client.close();
    expect((await sender.client.stats()).matrix).toBeUndefined();
    await using keyStore = new MemoryKeyStore({ storage });
    await keyStore.init();
    const { userId, deviceId } = alice.credentials;
    await using engine = await openOlmMachine({ keyStore, userId, deviceId, key, create: "never" });
    expect(matrixStats(await engine.deviceStore.collections())).toEqual(matrix);
  });
});
