import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../src/http/homeserver-api.ts";
import { isRoomEvent, parseSync } from "../src/sync/sync-response.ts";
import { anything, budget, damaged, fuzzTimeout } from "./support/fuzz.ts";
import { World } from "./support/world.ts";

const EVENT = {
  type: "m.room.message",
  event_id: "$event",
  sender: "@alice:localhost",
  content: { msgtype: "m.text", body: "hello" },
  origin_server_ts: 1,
  unsigned: { age: 1 },
};
const MEMBER = { ...EVENT, type: "m.room.member", state_key: "@alice:localhost", content: { membership: "join" } };
const ENCRYPTED = {
  ...EVENT,
  type: "m.room.encrypted",
  event_id: "$encrypted",
  content: {
    algorithm: "m.megolm.v1.aes-sha2",
    ciphertext: "AwgAEgA",
    device_id: "X",
    sender_key: "A".repeat(43),
    session_id: "B".repeat(43),
  },
};
const OLM = {
  type: "m.room.encrypted",
  sender: "@alice:localhost",
  content: {
    algorithm: "m.olm.v1.curve25519-aes-sha2",
    sender_key: "A".repeat(43),
    ciphertext: { ["C".repeat(43)]: { type: 0, body: "AwogAAAA" } },
  },
};
const ROOM_KEY = {
  type: "m.room_key",
  sender: "@alice:localhost",
  content: { algorithm: "m.megolm.v1.aes-sha2", room_id: "!r:localhost", session_id: "s", session_key: "AgAA" },
};

/** A response that has something of everything. */
const RESPONSE = {
  next_batch: "s1",
  to_device: { events: [OLM, ROOM_KEY, { ...ROOM_KEY, type: "m.room_key_request" }, { ...OLM, type: "org.example" }] },
  device_lists: { changed: ["@alice:localhost"], left: ["@bob:localhost"] },
  device_one_time_keys_count: { signed_curve25519: 50 },
  device_unused_fallback_key_types: ["signed_curve25519"],
  account_data: { events: [{ type: "m.direct", content: {} }] },
  rooms: {
    join: {
      "!r:localhost": {
        state: { events: [MEMBER, { ...EVENT, type: "m.room.encryption", state_key: "", content: {} }] },
        timeline: { events: [EVENT, ENCRYPTED], limited: false, prev_batch: "p1" },
        summary: { "m.heroes": [], "m.joined_member_count": 2 },
      },
    },
    invite: { "!i:localhost": { invite_state: { events: [MEMBER] } } },
    leave: { "!l:localhost": { timeline: { events: [MEMBER] } } },
    knock: { "!k:localhost": { knock_state: { events: [MEMBER] } } },
  },
};

const responses = fc.oneof(damaged(RESPONSE), anything);

describe("a sync response of any shape", () => {
  it("is taken apart into what is well-formed, or refused", () => {
    fc.assert(
      fc.property(responses, (response) => {
        const update = parseSync((typeof response === "object" && response !== null ? response : {}) as JsonObject);
        if (update === undefined) return;
        expect(typeof update.nextBatch).toBe("string");
        expect(update.toDevice.every((event) => typeof event === "object" && event !== null)).toBe(true);
        for (const { roomId, timeline, state } of update.rooms) {
          expect(roomId).toMatch(/^!/);
          expect([...timeline, ...state].every(isRoomEvent)).toBe(true);
        }
        for (const user of [...update.deviceLists.changed, ...update.deviceLists.left]) expect(user).toMatch(/^@/);
      }),
      budget(1_000),
    );
  });

  let world: World;
  beforeEach(async () => {
    world = await World.start();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  it(
    "does not keep a client from what comes after it",
    async () => {
      const [alice, bob] = [await world.user("alice"), await world.user("bob")];
      const sender = await world.connected(alice);
      const reader = await world.connected(bob, { longPollMs: 200 });
      const roomId = await world.room([alice, bob]);
      const { userId } = bob.credentials;
      await sender.say(roomId, "before");
      await reader.until(() => reader.bodies.includes("before"));
      const said = { n: 0 };
      await fc.assert(
        fc.asyncProperty(fc.array(responses, { minLength: 8, maxLength: 8 }), async (given) => {
          let left = given;
          const all = Promise.withResolvers<void>();
          const stop = world.use(async (call, next) => {
            if (call.device?.userId !== userId || !call.route.endsWith("/sync")) return next();
            const [response, ...others] = left;
            if (left.length === 0) return next();
            left = others;
            if (others.length === 0) all.resolve();
            // The token stays the homeserver's own: one that was made up would have it tell other things.
            const since = call.query.get("since") ?? "";
            const body = typeof response === "object" && response !== null ? { ...response, next_batch: since } : {};
            return { status: 200, body: body as JsonObject };
          });
          said.n += 1;
          await sender.say(roomId, `news ${said.n}`);
          await all.promise;
          await reader.until(() => reader.bodies.includes(`news ${said.n}`));
          stop();
        }),
        budget(6),
      );
      expect(reader.client.mode).toBe("development");
      expect(reader.log.filter((line) => line.includes("were malformed and left out")).length).toBeGreaterThan(0);
    },
    fuzzTimeout(60_000),
  );
});
