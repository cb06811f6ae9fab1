import { randomBytes } from "node:crypto";
import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient, inMemoryEngine, Party } from "@holdfast/dev-homeserver/party";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Child } from "../durability/child.ts";
import { durableStorages } from "../durability/storages.ts";
import type { BotLife, BotSaid } from "./matrix-bot.ts";

const PROGRAM = new URL("./programs/matrix-client.ts", import.meta.url);

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

/** A party on the engine's own store in memory: the other side of the conversation. */
async function newParty(name: string): Promise<Party> {
  const client = await HomeserverClient.register(homeserver.url, name);
  const { userId, deviceId } = client.credentials;
  const party = new Party({ client, engine: await inMemoryEngine(userId, deviceId) });
  await party.flush();
  return party;
}

/** Syncs until a party has decrypted a text. */
async function read(party: Party, body: string): Promise<void> {
  for (;;) {
    const { received } = await party.sync({ timeoutMs: 60_000 });
    if (received.some((event) => event.kind === "decrypted" && event.content.body === body)) return;
  }
}

/** What a life of the bot read, in the order of the timeline. */
const readings = (bot: Child<BotSaid>): BotSaid[] => bot.said.filter(({ told }) => told === "read");
const reading = (body: string): BotSaid => ({ told: "read", body, failure: null });
const hasRead = (body: string) => (said: BotSaid) => said.told === "read" && said.body === body;
const isIdentity = ({ told }: BotSaid): boolean => told === "identity";

describe.each(durableStorages())("matrix-js-sdk on %s", (kind, newStorage) => {
  it("has its identity and its room keys again after it was killed", async () => {
    const alice = await newParty(`alice-${kind.toLowerCase()}`);
    const { credentials } = await HomeserverClient.register(homeserver.url, `bot-${kind.toLowerCase()}`);
    const { userId, deviceId } = credentials;
    const life: Omit<BotLife, "name"> = {
      ...credentials,
      storage: await newStorage(),
      storageKey: randomBytes(32).toString("base64"),
    };
    const uploads: unknown[] = [];
    const unwatch = homeserver.use(async (call, next) => {
      const outcome = await next();
      if (call.device?.userId === userId && call.route.endsWith("/keys/upload")) {
        uploads.push({ status: outcome === "hang up" ? 0 : outcome.status, identity: "device_keys" in call.body });
      }
      return outcome;
    });

    const first = new Child<BotSaid>(PROGRAM, { ...life, name: "first" });
    const identity = await first.says(isIdentity);
    const room = await alice.createEncryptedRoom([userId]);
    await first.says(({ told }) => told === "joined");
    await homeserver.journal.answered({ path: "/keys/upload", userId, deviceId });
    await alice.sendText(room, "one");
    await first.says(hasRead("one"));
    // The sync that brings it acknowledges the room key: from then on nobody but the bot has that.
    await alice.sendText(room, "hello first");
    await first.says(hasRead("hello first"));
    await read(alice, "first is here");
    await first.kill();
    expect(readings(first)).toEqual([reading("one"), reading("hello first")]);
    expect(homeserver.toDeviceWaiting(userId, deviceId)).toBe(0);

    await alice.sendText(room, "while you were away");
    expect(homeserver.toDeviceWaiting(userId, deviceId)).toBe(0);
    const second = new Child<BotSaid>(PROGRAM, { ...life, name: "second" });
    expect(await second.says(isIdentity)).toEqual(identity);
    await second.says(hasRead("while you were away"));
    await alice.sendText(room, "hello second");
    await read(alice, "second is here");
    await second.kill();
    unwatch();

    const texts = ["hello first", "hello second", "one", "while you were away"];
    const sorted = readings(second).sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
    expect(sorted).toEqual(texts.map(reading));
    // One identity, published once, and no one-time key under an id that was taken.
    expect(uploads.slice(0, 1)).toEqual([{ status: 200, identity: true }]);
    expect(uploads.slice(1)).toEqual(uploads.slice(1).map(() => ({ status: 200, identity: false })));
  });

  it("does not open with another key, and leaves what is there as it is", async () => {
    const { credentials } = await HomeserverClient.register(homeserver.url, `locked-${kind.toLowerCase()}`);
    const life: BotLife = {
      ...credentials,
      name: "locked",
      storage: await newStorage(),
      storageKey: randomBytes(32).toString("base64"),
    };
    const first = new Child<BotSaid>(PROGRAM, life);
    const identity = await first.says(isIdentity);
    await first.kill();
    const wrong = new Child<BotSaid>(PROGRAM, { ...life, storageKey: randomBytes(32).toString("base64") });
    await expect(wrong.says()).rejects.toThrow("failed to be decrypted while unpickling");
    const again = new Child<BotSaid>(PROGRAM, life);
    expect(await again.says(isIdentity)).toEqual(identity);
    await again.kill();
  });
});
