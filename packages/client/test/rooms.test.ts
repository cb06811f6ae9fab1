import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../src/http/homeserver-api.ts";
import type { RoomEvent, RoomUpdate } from "../src/sync/room-update.ts";
import { bodiesSeenBy, fault, hangUp, MEGOLM, party, refuse } from "./support/dev-rooms.ts";
import { register, SendingClient } from "./support/sending-client.ts";

let homeserver: DevHomeserver;
let bot: SendingClient;
const open: SendingClient[] = [];

beforeEach(async () => {
  homeserver = await startDevHomeserver();
  bot = await SendingClient.open(await register(homeserver.url, "bot"));
  open.push(bot);
});

afterEach(async () => {
  for (const client of open.splice(0)) await client.close();
  await homeserver.close();
});

const MEMBERS = { route: "/rooms/{roomId}/members" };

const state = (type: string, content: JsonObject, stateKey = ""): RoomEvent => ({
  type,
  state_key: stateKey,
  content,
  event_id: `$${Math.random()}`,
  sender: "@bot:localhost",
  origin_server_ts: 1,
});

const member = (userId: string, membership: string) => state("m.room.member", { membership }, userId);

const told = (roomId: string, timeline: readonly RoomEvent[], more: Partial<RoomUpdate> = {}): RoomUpdate => ({
  roomId,
  membership: "join",
  state: [],
  timeline,
  limited: false,
  prevBatch: undefined,
  ...more,
});

/** Takes updates in as a sync does, each as one commit. Answers with how many records that has written. */
async function takeIn(...updates: RoomUpdate[]): Promise<number> {
  const { encryption } = bot;
  if (encryption === undefined) throw new Error("the store is away");
  return encryption.run(async () => {
    let written = 0;
    for (const update of updates) {
      const changes = await bot.rooms.takeIn(update, encryption);
      written += changes.length;
      await encryption.commit(changes);
    }
    return written;
  });
}

async function reopen(): Promise<SendingClient> {
  await bot.close();
  bot = await SendingClient.open(bot.login, { storage: bot.storage });
  open.push(bot);
  return bot;
}

const CREATED = state("m.room.create", { room_version: "10" });
const ROOM = "!room:localhost";
const A_WEEK = 604_800_000;

describe("the encryption of a room", () => {
  it("is what a sync has told, and stays so through a restart, with nothing asked of the homeserver", async () => {
    const room = await bot.createRoom({ encryption: { ...MEGOLM, rotation_period_ms: 7_200_000 } });
    const plain = await bot.createRoom({});
    await bot.sync();
    await reopen();
    const { count } = fault(homeserver, { route: "/state/{eventType}/{stateKey?}" }, 9, hangUp);
    expect(await bot.rooms.encryption(room)).toEqual({
      kind: "encrypted",
      algorithm: MEGOLM.algorithm,
      rotationPeriodMs: 7_200_000,
      rotationPeriodMsgs: 100,
    });
    expect(await bot.rooms.encryption(plain)).toEqual({ kind: "plain" });
    expect(count()).toBe(0);
  });

  it("is asked for where no sync has told all of a room, and recorded where it is encrypted", async () => {
    const room = await bot.createRoom({ encryption: MEGOLM });
    const plain = await bot.createRoom({});
    await takeIn(told(room, [member("@a:localhost", "join")]), told(plain, [member("@a:localhost", "join")]));
    const { count } = fault(homeserver, { route: "/state/{eventType}/{stateKey?}" }, 0, hangUp);
    for (let times = 0; times < 2; times += 1) {
      expect(await bot.rooms.encryption(room)).toMatchObject({ kind: "encrypted", algorithm: MEGOLM.algorithm });
      expect(await bot.rooms.encryption(plain)).toEqual({ kind: "plain" });
    }
    expect(count()).toBe(3);
    expect((await bot.rooms.get(plain))?.encryption).toBeNull();
    await reopen();
    expect((await bot.rooms.get(room))?.encryption).toMatchObject({ kind: "encrypted" });
  });

  it.each([
    ["another algorithm", { algorithm: "m.olm.v1.curve25519-aes-sha2" }],
    ["none", {}],
    ["a malformed one", { algorithm: 7 }],
  ])("cannot be turned into %s: messages stay encrypted, and the log says so", async (_, content) => {
    const alice = await party(homeserver, "alice");
    const room = await bot.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
    await alice.join(room);
    await bot.sync();
    await bot.setState(room, "m.room.encryption", content);
    await bot.sync();
    await bot.outbox.send(room, "m.room.message", { msgtype: "m.text", body: "secret" });
    expect(await bodiesSeenBy(alice)).toEqual(["secret"]);
    await takeIn(
      told(
        room,
        (await bot.stateEvents(room)).filter(({ type }) => type === "m.room.encryption"),
      ),
    );
    expect(bot.log.filter((line) => line.startsWith("error") && line.includes(room))).toHaveLength(1);
  });

  it("does not end with a state that lacks it, nor in a room that is left and joined again", async () => {
    await takeIn(told(ROOM, [CREATED, state("m.room.encryption", MEGOLM)]));
    await takeIn(told(ROOM, [], { membership: "leave" }), told(ROOM, [CREATED]));
    expect(await bot.rooms.encryption(ROOM)).toMatchObject({ kind: "encrypted", algorithm: MEGOLM.algorithm });
  });

  it("has its keys rotated more often when the room says so, and never more seldom", async () => {
    const periods = (ms: Json, msgs: Json) =>
      told(ROOM, [state("m.room.encryption", { ...MEGOLM, rotation_period_ms: ms, rotation_period_msgs: msgs })]);
    const known = async () => await bot.rooms.encryption(ROOM);
    await takeIn(told(ROOM, [CREATED, state("m.room.encryption", MEGOLM)]));
    expect(await known()).toMatchObject({ rotationPeriodMs: A_WEEK, rotationPeriodMsgs: 100 });
    await takeIn(periods(4_000_000, 10));
    await takeIn(periods(2 ** 53, 1_000));
    await takeIn(periods(-1, "7"));
    expect(await known()).toMatchObject({ rotationPeriodMs: 4_000_000, rotationPeriodMsgs: 10 });
    await takeIn(periods(5_000_000, 2));
    expect(await known()).toMatchObject({ rotationPeriodMs: 4_000_000, rotationPeriodMsgs: 2 });
  });

  it("begins when the room says so", async () => {
    await takeIn(told(ROOM, [CREATED]));
    expect(await bot.rooms.encryption(ROOM)).toEqual({ kind: "plain" });
    await takeIn(told(ROOM, [state("m.room.encryption", MEGOLM, "not empty")]));
    expect(await bot.rooms.encryption(ROOM)).toEqual({ kind: "plain" });
    await takeIn(told(ROOM, [state("m.room.encryption", MEGOLM)]));
    expect(await bot.rooms.encryption(ROOM)).toMatchObject({ kind: "encrypted" });
  });

  it("is not forgotten by this process when its store comes back with an older record", async () => {
    await takeIn(told(ROOM, [CREATED]));
    bot.goAway();
    await bot.rooms.takeIn(told(ROOM, [state("m.room.encryption", MEGOLM)]), undefined);
    await bot.comeBack();
    expect(await bot.rooms.encryption(ROOM)).toMatchObject({ kind: "encrypted" });
    expect(await takeIn(told(ROOM, []))).toBe(1);
    await reopen();
    expect(await bot.rooms.encryption(ROOM)).toMatchObject({ kind: "encrypted" });
  });
});

describe("what is known of a plain room", () => {
  const STATE = { route: "/state/{eventType}/{stateKey?}" };

  it("is asked for once by a process that has not synced yet, and not where a sync was taken in", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    const { login, storage } = bot;
    await bot.close();
    bot = await SendingClient.unsynced(login, { storage });
    open.push(bot);
    const { count } = fault(homeserver, STATE, 0, hangUp);
    expect(await bot.rooms.encryption(room)).toEqual({ kind: "plain" });
    expect(await bot.rooms.encryption(room)).toEqual({ kind: "plain" });
    expect(count()).toBe(1);
    await reopen();
    expect(await bot.rooms.encryption(room)).toEqual({ kind: "plain" });
    expect(count()).toBe(1);
  });

  it("counts for nothing once this user has left or joined, or may have, whatever a sync of before then says", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    expect(await bot.rooms.encryption(room)).toEqual({ kind: "plain" });
    bot.rooms.cameOrWent(room);
    await takeIn(told(room, [CREATED]));
    await bot.setState(room, "m.room.encryption", MEGOLM);
    expect(await bot.rooms.encryption(room)).toMatchObject({ kind: "encrypted" });
  });

  it("is asked for again where this user has left or joined while it was asked for", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    bot.rooms.cameOrWent(room);
    const { count } = fault(homeserver, STATE, 1, async (_, next) => {
      const answer = await next();
      await bot.setState(room, "m.room.encryption", MEGOLM);
      bot.rooms.cameOrWent(room);
      return answer;
    });
    expect(await bot.rooms.encryption(room)).toMatchObject({ kind: "encrypted" });
    // The second is the change of the state itself.
    expect(count()).toBe(3);
  });

  it("counts for nothing where a sync has told of its leaving while the store was away, and the store comes back", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    bot.goAway();
    await bot.rooms.takeIn(told(room, [], { membership: "leave" }), undefined);
    await bot.comeBack();
    await bot.setState(room, "m.room.encryption", MEGOLM);
    expect(await bot.rooms.encryption(room)).toMatchObject({ kind: "encrypted" });
  });

  it("is forgotten when a sync tells of its being joined again, and does not tell all of it", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    await takeIn(told(room, [], { membership: "leave" }), told(room, []));
    expect(await bot.rooms.get(room)).toMatchObject({ membership: "join", encryption: null, historyVisibility: null });
  });

  it("holds through an outage of the store", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    const { count } = fault(homeserver, STATE, 9, hangUp);
    expect(await bot.rooms.encryption(room)).toEqual({ kind: "plain" });
    bot.goAway();
    expect(await bot.rooms.encryption(room)).toEqual({ kind: "plain" });
    expect(count()).toBe(0);
  });
});

describe("the visibility of a room's history", () => {
  it("is asked for again, once, where this user has left and come back", async () => {
    const room = await bot.createRoom({ encryption: MEGOLM });
    await bot.sync();
    expect(await bot.rooms.historyVisibility(room)).toBe("shared");
    await bot.setState(room, "m.room.history_visibility", { history_visibility: "joined" });
    bot.rooms.cameOrWent(room);
    const { count } = fault(homeserver, { route: "/state/{eventType}/{stateKey?}" }, 0, hangUp);
    expect(await bot.rooms.historyVisibility(room)).toBe("joined");
    expect(await bot.rooms.historyVisibility(room)).toBe("joined");
    expect(count()).toBe(1);
    await takeIn(told(room, [state("m.room.history_visibility", { history_visibility: "invited" })]));
    expect(await bot.rooms.historyVisibility(room)).toBe("invited");
  });
});

describe("the record of a room", () => {
  it("is committed with the sync that told it, although the client is giving that store up", async () => {
    const room = await bot.createRoom({});
    await bot.sync();
    await bot.setState(room, "m.room.encryption", MEGOLM);
    await bot.sync((response) => {
      bot.goAway();
      return response;
    });
    await reopen();
    await bot.sync();
    expect(await bot.rooms.encryption(room)).toMatchObject({ kind: "encrypted" });
    await bot.outbox.send(room, "m.room.message", { msgtype: "m.text", body: "secret" });
    expect((await bot.timeline(room)).map(({ type }) => type)).toEqual(["m.room.encrypted"]);
  });

  it("of an invitation is committed with the sync that told it, too", async () => {
    const alice = await party(homeserver, "alice");
    const room = await alice.createEncryptedRoom([bot.login.userId]);
    await bot.sync((response) => {
      bot.goAway();
      return response;
    });
    await reopen();
    expect(await bot.rooms.get(room)).toMatchObject({ membership: "invite", inviter: alice.userId });
  });

  it("is written when something has changed, and only then", async () => {
    const encrypted = told(ROOM, [CREATED, state("m.room.encryption", MEGOLM)]);
    expect(await takeIn(encrypted)).toBe(1);
    expect(await takeIn(encrypted)).toBe(0);
    expect(await takeIn(told(ROOM, [member("@a:localhost", "join")]))).toBe(0);
    expect(await takeIn(told(ROOM, [state("m.room.tombstone", { replacement_room: "!new:localhost" })]))).toBe(1);
    expect(await takeIn(told(ROOM, [state("m.room.history_visibility", { history_visibility: "joined" })]))).toBe(1);
    expect(await takeIn(told(ROOM, [state("m.room.history_visibility", { history_visibility: "no such" })]))).toBe(0);
    expect(await bot.rooms.get(ROOM)).toMatchObject({
      membership: "join",
      replacedBy: "!new:localhost",
      historyVisibility: "joined",
    });
  });

  it("is written again where the commit that held it has failed", async () => {
    const update = told(ROOM, [CREATED]);
    expect(await bot.rooms.takeIn(update, bot.encryption)).toHaveLength(1);
    expect(await bot.rooms.takeIn(update, bot.encryption)).toHaveLength(1);
    await bot.encryption?.commit(await bot.rooms.takeIn(update, bot.encryption));
    expect(await bot.rooms.takeIn(update, bot.encryption)).toEqual([]);
  });

  it("names the inviter, and waits with the rest until the room is joined", async () => {
    const alice = await party(homeserver, "alice");
    const room = await alice.createEncryptedRoom([bot.login.userId]);
    await bot.sync();
    expect(await bot.rooms.get(room)).toMatchObject({
      membership: "invite",
      inviter: alice.userId,
      encryption: null,
    });
    await bot.join(room);
    await bot.sync();
    const joined = { membership: "join", inviter: null, encryption: { kind: "encrypted" } };
    expect(await bot.rooms.get(room)).toMatchObject(joined);
  });
});

describe("those who get a room's keys", () => {
  const [a, b, c] = ["@a:localhost", "@b:localhost", "@c:localhost"];

  it("are the joined and the invited, and the joined alone where history begins with joining", async () => {
    const [alice, bob] = [await party(homeserver, "alice"), await party(homeserver, "bob")];
    const room = await bot.createRoom({ encryption: MEGOLM, invite: [alice.userId, bob.userId] });
    await alice.join(room);
    await bot.sync();
    expect((await bot.rooms.keyTargets(room)).toSorted()).toEqual([alice.userId, bob.userId, bot.login.userId]);
    await bot.setState(room, "m.room.history_visibility", { history_visibility: "joined" });
    await bot.sync();
    expect((await bot.rooms.keyTargets(room)).toSorted()).toEqual([alice.userId, bot.login.userId]);
  });

  it("are asked for once, and then kept by what syncs tell", async () => {
    const room = await bot.createRoom({ encryption: MEGOLM });
    await bot.sync();
    const { count } = fault(homeserver, MEMBERS, 0, hangUp);
    const own = bot.login.userId;
    expect(await bot.rooms.keyTargets(room)).toEqual([own]);
    await takeIn(told(room, [member(b, "join"), member(c, "ban")], { state: [member(a, "invite")] }));
    expect((await bot.rooms.keyTargets(room)).toSorted()).toEqual([a, b, own]);
    await takeIn(told(room, [member(a, "leave"), member("malformed", "join"), state("m.room.member", {}, c)]));
    expect((await bot.rooms.keyTargets(room)).toSorted()).toEqual([b, own]);
    expect(count()).toBe(1);
    await takeIn(told(room, [], { limited: true }));
    expect(await bot.rooms.keyTargets(room)).toEqual([own]);
    expect(count()).toBe(2);
  });

  it("include who has come while they were asked for, and not who has gone", async () => {
    const alice = await party(homeserver, "alice");
    const room = await bot.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
    await bot.sync();
    fault(homeserver, MEMBERS, 1, async (_, next) => {
      const answer = await next();
      await takeIn(told(room, [member(b, "join"), member(alice.userId, "leave")]));
      return answer;
    });
    expect((await bot.rooms.keyTargets(room)).toSorted()).toEqual([b, bot.login.userId]);
  });

  it("are asked for again where a sync has left something out meanwhile", async () => {
    const room = await bot.createRoom({ encryption: MEGOLM });
    await bot.sync();
    const { count } = fault(homeserver, MEMBERS, 1, async () => {
      await takeIn(told(room, [], { limited: true }));
      const chunk = [{ type: "m.room.member", state_key: b, content: { membership: "join" } }];
      return { status: 200, body: { chunk } };
    });
    expect(await bot.rooms.keyTargets(room)).toEqual([bot.login.userId]);
    expect(count()).toBe(2);
  });

  it.each([
    ["HTTP 500", refuse(500, "M_UNKNOWN")],
    ["no answer", hangUp],
    ["an answer that is none", async () => ({ status: 200, body: { members: [] } })],
  ])("are not nobody after %s", async (_, outcome) => {
    const room = await bot.createRoom({ encryption: MEGOLM });
    await bot.sync();
    fault(homeserver, MEMBERS, 1, outcome);
    await expect(bot.rooms.keyTargets(room)).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    expect(await bot.rooms.keyTargets(room)).toEqual([bot.login.userId]);
  });

  it("are waited for no longer than the caller wants", async () => {
    const room = await bot.createRoom({ encryption: MEGOLM });
    await bot.sync();
    const giveUp = new AbortController();
    const asked = Promise.withResolvers<void>();
    fault(homeserver, MEMBERS, 1, async (_, next) => {
      giveUp.abort(new Error("no patience"));
      await asked.promise;
      return next();
    });
    await expect(bot.rooms.keyTargets(room, giveUp.signal)).rejects.toThrow("no patience");
    asked.resolve();
    expect(await bot.rooms.keyTargets(room)).toEqual([bot.login.userId]);
  });
});
