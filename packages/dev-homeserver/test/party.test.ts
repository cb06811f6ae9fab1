import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DevHomeserver, startDevHomeserver } from "../src/index.ts";
import {
  HomeserverClient,
  inMemoryEngine,
  memoryJournal,
  Party,
  type PartyOptions,
  path,
  type Received,
} from "../src/party/index.ts";

let server: DevHomeserver;
beforeAll(async () => {
  server = await startDevHomeserver();
});
afterAll(() => server.close());

async function newParty(name: string, options: Partial<PartyOptions> = {}): Promise<Party> {
  const client = await HomeserverClient.register(server.url, name, { deviceId: "DEVICE" });
  const engine = await inMemoryEngine(client.credentials.userId, "DEVICE");
  const party = new Party({ client, engine, ...options });
  await party.flush();
  return party;
}

/** Two parties in an encrypted room, the second with nothing left to sync. */
async function conversation(name: string, options: Partial<PartyOptions> = {}) {
  const [alice, bob] = [await newParty(`${name}-alice`), await newParty(`${name}-bob`, options)];
  const room = await alice.createEncryptedRoom([bob.userId], { rotation_period_msgs: 5 });
  await bob.join(room);
  await bob.sync();
  return { alice, bob, room };
}

const told = (received: readonly Received[]) =>
  received.map((event) => (event.kind === "undecryptable" ? event.code : event.content.body));

const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => `n${from + index}`);

describe("two parties on engines in memory", () => {
  test("read each other's messages over several room keys", async () => {
    const { alice, bob, room } = await conversation("both");
    for (const body of numbered(1, 12)) await alice.sendText(room, body);
    const first = await bob.sync();
    expect(told(first.received)).toEqual(numbered(1, 12));
    expect(first.toDevice).toBe(3);
    await bob.sendText(room, "answer");
    expect(told((await alice.sync()).received).at(-1)).toBe("answer");
  });

  test("show the homeserver the identity that they have", async () => {
    const party = await newParty("identity");
    const identity = await party.identity();
    expect(identity.ed25519).toMatch(/^[A-Za-z0-9+/]{43}$/);
    expect(await party.publishedIdentity()).toEqual(identity);
  });

  test("fetch what a limited timeline leaves out", async () => {
    const { alice, bob, room } = await conversation("gap", { timelineLimit: 2 });
    for (const body of numbered(1, 7)) await alice.sendText(room, body);
    expect(told((await bob.sync()).received)).toEqual(numbered(1, 7));
  });

  test("read a room's history again with the keys that they have", async () => {
    const { alice, bob, room } = await conversation("history");
    for (const body of numbered(1, 3)) await alice.sendText(room, body);
    await bob.sync();
    expect(told(await bob.history(room))).toEqual(numbered(1, 3));
  });

  test("say what they cannot read, hold it, and read it when its key comes late", async () => {
    const { alice, bob, room } = await conversation("late");
    const bobId = bob.userId;
    const late: { type: string; body: string }[] = [];
    const remove = server.use((call, next) => {
      if (call.parameters.eventType !== "m.room.encrypted" || !call.route.includes("sendToDevice")) return next();
      late.push({ type: call.parameters.eventType, body: JSON.stringify(call.body) });
      return Promise.resolve({ status: 200, body: {} });
    });
    await alice.sendText(room, "patience");
    remove();
    expect(told((await bob.sync()).received)).toEqual(["MissingRoomKey"]);
    expect(told((await bob.sync()).received)).toEqual(["MissingRoomKey"]);
    expect(late).toHaveLength(1);
    expect(late[0]?.body).toContain(bobId);
    for (const { type, body } of late) await alice.client.call("PUT", path("sendToDevice", type, "late"), body);
    expect(told((await bob.sync()).received)).toEqual(["patience"]);
    expect((await bob.sync()).received).toEqual([]);
  });

  test("share a room's key with a device that comes later, from where it comes", async () => {
    const { alice, bob, room } = await conversation("second");
    await alice.sendText(room, "before");
    const { userId } = bob;
    const { device_id, access_token } = await bob.client.call("POST", "/login", {
      type: "m.login.password",
      identifier: { type: "m.id.user", user: userId },
      password: "password of second-bob",
      device_id: "SECOND",
    });
    const credentials = {
      homeserver: server.url,
      userId,
      deviceId: String(device_id),
      accessToken: String(access_token),
    };
    const engine = await inMemoryEngine(userId, "SECOND");
    const second = new Party({ client: new HomeserverClient(credentials), engine });
    await second.flush();
    await alice.sync();
    await alice.sendText(room, "after");
    expect(told((await second.sync()).received)).toEqual(["UnknownMessageIndex", "after"]);
    expect(told((await bob.sync()).received)).toEqual(["before", "after"]);
  });

  test("begin a session by the fallback key when no one-time key is left", async () => {
    const [alice, bob] = [await newParty("fallback-alice"), await newParty("fallback-bob")];
    // Only a sync tells the engine that this homeserver takes fallback keys.
    await bob.sync();
    const claim = { one_time_keys: { [bob.userId]: { DEVICE: "signed_curve25519" } } };
    const counts = async () => (await bob.client.call("POST", "/keys/upload", {})).one_time_key_counts;
    while (JSON.stringify(await counts()) !== '{"signed_curve25519":0}')
      await alice.client.call("POST", "/keys/claim", claim);
    const room = await alice.createEncryptedRoom([bob.userId]);
    await bob.join(room);
    await alice.sendText(room, "by the fallback key");
    const { device_unused_fallback_key_types: unused } = await bob.client.call("GET", "/sync");
    expect(unused).toEqual([]);
    expect(told((await bob.sync()).received)).toEqual(["by the fallback key"]);
    expect(await counts()).toEqual({ signed_curve25519: 50 });
  });

  test("send nothing into a room that is not encrypted", async () => {
    const party = await newParty("plain");
    const { room_id: room } = await party.client.call("POST", "/createRoom", {});
    await expect(party.sendText(String(room), "secret")).rejects.toMatchObject({ errcode: "M_NOT_FOUND" });
    expect(await party.history(String(room))).toEqual([]);
  });

  test("keep the token and what has arrived together, and hand over again what the last run left", async () => {
    const journal = memoryJournal();
    const { alice, bob, room } = await conversation("again", { journal });
    await alice.sendText(room, "once");
    const first = await bob.sync();
    const saved = await journal.load();
    expect(saved?.since).toBe(bob.since);
    expect(saved?.inbox.map((event) => event.event_id)).toEqual(first.received.map((event) => event.eventId));
    const restarted = new Party({ client: bob.client, engine: bob.engine, journal });
    expect(told((await restarted.sync()).received)).toEqual(["once"]);
    expect((await restarted.sync()).received).toEqual([]);
  });

  test("sync again from the same token where a sync failed, and are given the key again", async () => {
    let failing = false;
    const { alice, bob, room } = await conversation("failing", {
      insideSync: () => (failing ? Promise.reject(new Error("cut")) : Promise.resolve()),
    });
    const since = bob.since;
    await alice.sendText(room, "again");
    failing = true;
    await expect(bob.sync()).rejects.toThrow("cut");
    expect(bob.since).toBe(since);
    expect(server.toDeviceWaiting(bob.userId, "DEVICE")).toBe(1);
    failing = false;
    expect(told((await bob.sync()).received)).toEqual(["again"]);
  });
});
