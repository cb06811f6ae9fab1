import { describe, expect, it } from "vitest";
import type { HomeserverApi, Json, JsonObject } from "../src/http/homeserver-api.ts";
import { HomeserverError } from "../src/http/homeserver-error.ts";
import { applyUpdate } from "../src/rooms/apply-update.ts";
import { unknownRoom } from "../src/rooms/room-record.ts";
import { fillGap } from "../src/sync/gap.ts";
import { parseSync, type SyncUpdate } from "../src/sync/sync-response.ts";
import { newEvents } from "../src/sync/timeline.ts";

const ROOM = "!room:localhost";
const USER = "@bot:localhost";
const silent = { debug() {}, info() {}, warn() {}, error() {} };

const event = (type: string, content: JsonObject, more: JsonObject = {}): JsonObject => ({
  type,
  content,
  event_id: `$${type}`,
  sender: USER,
  origin_server_ts: 1,
  ...more,
});

const text = (id: string): JsonObject => event("m.room.message", { msgtype: "m.text", body: id }, { event_id: id });

/** `depth` arrays, one in the other. */
const nested = (depth: number): Json => JSON.parse("[".repeat(depth) + "]".repeat(depth));

function parsed(room: JsonObject, more: JsonObject = {}): SyncUpdate {
  const update = parseSync({ next_batch: "s1", rooms: { join: { [ROOM]: room } }, ...more });
  if (update === undefined) throw new Error("no sync");
  return update;
}

function encryptionAfter(update: SyncUpdate) {
  const [room] = update.rooms;
  if (room === undefined) throw new Error("no room");
  return applyUpdate(unknownRoom(ROOM), room, () => {}).encryption;
}

describe("an event that is nested too deeply to be kept", () => {
  it("is left out of a timeline and of messages between devices, and what came with it is not", () => {
    const timeline = [text("$1"), event("m.room.message", { x: nested(9_000) }, { event_id: "$2" }), text("$3")];
    const dummy = (content: JsonObject) => ({ type: "m.dummy", sender: USER, content });
    const toDevice = [dummy({ x: nested(9_000) }), dummy({ x: nested(20) })];
    const update = parsed({ timeline: { events: timeline } }, { to_device: { events: toDevice } });
    expect(update.rooms[0]?.timeline.map(({ event_id }) => event_id)).toEqual(["$1", "$3"]);
    expect(update.toDevice).toEqual([dummy({ x: nested(20) })]);
    expect(update.malformed).toBe(2);
  });
});

describe("the state of a room of which something is malformed", () => {
  const create = event("m.room.create", { room_version: "10" }, { state_key: "" });
  const encryption = event("m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" }, { state_key: "" });

  it("is that of a plain one only where nothing was left out", () => {
    expect(encryptionAfter(parsed({ state: { events: [create] } }))).toEqual({ kind: "plain" });
    const malformed = { ...event("m.room.topic", {}, { state_key: "" }), content: "none" };
    expect(encryptionAfter(parsed({ state: { events: [create, malformed] } }))).toBeNull();
    expect(encryptionAfter(parsed({ state: { events: {} }, timeline: { events: [create] } }))).toBeNull();
  });

  it.each([
    ["unsigned is null", { unsigned: null }],
    ["the event id is missing", { event_id: undefined }],
    ["something in it is nested too deeply", { more: nested(9_000) }],
  ])("is that of an encrypted one where it says so, although %s", (_, more) => {
    const malformed = { ...encryption, ...more } as JsonObject;
    const encrypted = { kind: "encrypted", algorithm: "m.megolm.v1.aes-sha2" };
    expect(encryptionAfter(parsed({ state: { events: [create, malformed] } }))).toMatchObject(encrypted);
    expect(encryptionAfter(parsed({ timeline: { events: [create, malformed] } }))).toMatchObject(encrypted);
  });

  it("is that of an encrypted one, to which nothing can be sent, where the content cannot be read", () => {
    const malformed = { ...encryption, content: null };
    const known = encryptionAfter(parsed({ state: { events: [create, malformed] } }));
    expect(known).toMatchObject({ kind: "encrypted", algorithm: null });
  });
});

describe("the end of a gap in a timeline", () => {
  const refusing = (status: number, errcode: string) =>
    ({ request: () => Promise.reject(new HomeserverError(status, { errcode })) }) as unknown as HomeserverApi;
  const gap = { roomId: ROOM, from: "t2", to: "t1", limit: 10 };

  it("is where the homeserver does not give what is before it", async () => {
    for (const [status, errcode] of [
      [403, "M_FORBIDDEN"],
      [404, "M_NOT_FOUND"],
    ] as const) {
      expect(await fillGap(refusing(status, errcode), gap)).toEqual({ events: [], cut: true });
    }
  });

  it("is not where it refuses for another reason", async () => {
    for (const [status, errcode] of [
      [429, "M_LIMIT_EXCEEDED"],
      [401, "M_UNKNOWN_TOKEN"],
      [400, "M_UNKNOWN"],
    ] as const) {
      await expect(fillGap(refusing(status, errcode), gap)).rejects.toMatchObject({ errcode });
    }
  });
});

describe("a membership of one's own in a timeline", () => {
  const told = async (unsigned: JsonObject | undefined, wasJoined = false) => {
    const own = event("m.room.member", { membership: "join" }, { state_key: USER, ...(unsigned && { unsigned }) });
    const [room] = parsed({ timeline: { events: [text("$before"), own] } }).rooms;
    if (room === undefined) throw new Error("no room");
    const api = { request: () => Promise.reject(new Error("not asked")) } as unknown as HomeserverApi;
    const events = await newEvents(
      { api, userId: USER, logger: silent, gapLimit: 10 },
      room,
      { token: "s0", wasJoined },
      undefined,
    );
    return events.map(({ event_id }) => event_id);
  };

  it("makes nothing old that came while the user was in the room before", async () => {
    expect(await told(undefined, true)).toEqual(["$before", "$m.room.member"]);
  });

  it("is a joining where there was none before, and what is older is no news", async () => {
    expect(await told(undefined)).toEqual(["$m.room.member"]);
    expect(await told({ prev_content: { membership: "invite" } })).toEqual(["$m.room.member"]);
  });

  it("is none where it took the place of another that is not told: nothing is left out", async () => {
    expect(await told({ prev_content: { membership: "join" } })).toEqual(["$before", "$m.room.member"]);
    expect(await told({ replaces_state: "$older" })).toEqual(["$before", "$m.room.member"]);
  });
});
