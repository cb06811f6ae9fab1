import { expect, test } from "vitest";
import { bodies, members, path, types, type World } from "./actors.ts";

export function syncSuite(world: () => World): void {
  const lazy = JSON.stringify({ room: { state: { lazy_load_members: true }, timeline: { limit: 1 } } });

  test("says nothing of what there is nothing of", async () => {
    const alice = await world().actor();
    const first = await alice.sync();
    expect([first.rooms, first.to_device, first.device_lists]).toEqual([undefined, undefined, undefined]);
    const second = await alice.sync(first.next_batch);
    expect([second.rooms, second.account_data]).toEqual([undefined, undefined]);
    expect(second.device_one_time_keys_count).toEqual({ signed_curve25519: 0 });
  });

  test("refuses a since that no sync gave, and a filter that nobody left", async () => {
    const alice = await world().actor();
    await expect(alice.sync("nonsense")).rejects.toMatchObject({ status: 400, errcode: "M_UNKNOWN" });
    const unknown = alice.sync(undefined, { filter: "99" });
    await expect(unknown).rejects.toMatchObject({ status: 400, errcode: "M_INVALID_PARAM" });
  });

  test("takes a filter by its id as it takes the filter itself", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    const filter = { room: { timeline: { limit: 2 } } };
    const { filter_id: id } = await alice.call("POST", path("user", alice.userId, "filter"), filter);
    expect(await alice.call("GET", path("user", alice.userId, "filter", String(id)))).toMatchObject(filter);
    for (const given of [String(id), JSON.stringify(filter)]) {
      const reply = await alice.sync(undefined, { filter: given });
      expect(reply.rooms?.join?.[room]?.timeline.events).toHaveLength(2);
    }
  });

  test("shows the newest events of a room at first, with the state before them, and then only what is new", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    await alice.say(room, "one");
    const first = await bob.sync(undefined, { filter: JSON.stringify({ room: { timeline: { limit: 1 } } }) });
    const tidings = first.rooms?.join?.[room];
    expect([bodies(tidings?.timeline.events), tidings?.timeline.limited]).toEqual([["one"], true]);
    expect(types(tidings?.state.events).sort()).toEqual([
      "m.room.create",
      "m.room.guest_access",
      "m.room.history_visibility",
      "m.room.join_rules",
      "m.room.member",
      "m.room.member",
      "m.room.power_levels",
    ]);
    await alice.say(room, "two");
    await alice.setState(room, "m.room.topic", { topic: "a topic" });
    const second = await bob.sync(first.next_batch);
    expect(types(second.rooms?.join?.[room]?.timeline.events)).toEqual(["m.room.message", "m.room.topic"]);
    expect(second.rooms?.join?.[room]).toMatchObject({ timeline: { limited: false }, state: { events: [] } });
    expect((await bob.sync(second.next_batch)).rooms).toBeUndefined();
  });

  test("shows who has just joined the room as if from its start, and says that there is more before", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const start = (await bob.sync()).next_batch;
    const room = await alice.newRoom({}, bob);
    const filter = JSON.stringify({ room: { timeline: { limit: 3 } } });
    const tidings = (await bob.sync(start, { filter })).rooms?.join?.[room];
    expect(tidings?.timeline.limited).toBe(true);
    expect(tidings?.timeline.events).toHaveLength(3);
    expect(types(tidings?.state.events)).toContain("m.room.create");
  });

  test("leaves a gap where there is more than the limit, with the state that changed in it", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    const start = (await bob.sync()).next_batch;
    await alice.setState(room, "m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" });
    for (let n = 1; n <= 15; n += 1) await alice.say(room, String(n));
    const tidings = (await bob.sync(start)).rooms?.join?.[room];
    expect(tidings?.timeline.limited).toBe(true);
    expect(bodies(tidings?.timeline.events)).toEqual(["6", "7", "8", "9", "10", "11", "12", "13", "14", "15"]);
    expect(types(tidings?.state.events)).toEqual(["m.room.encryption"]);
  });

  test("names an event's transaction to its sender only, and sends it once however often it comes", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    const start = (await alice.sync()).next_batch;
    const id = await alice.say(room, "hello", "txn");
    expect(await alice.say(room, "hello", "txn")).toBe(id);
    const seenByAlice = (await alice.sync(start)).rooms?.join?.[room]?.timeline.events;
    expect(seenByAlice).toMatchObject([{ event_id: id, unsigned: { transaction_id: "txn" } }]);
    const seenByBob = (await bob.sync()).rooms?.join?.[room]?.timeline.events.at(-1);
    expect([seenByBob?.event_id, seenByBob?.unsigned?.transaction_id]).toEqual([id, undefined]);
  });

  test("takes a transaction id for the same whatever is sent under it, and for another on another device", async () => {
    const alice = await world().actor();
    const other = await world().login(alice.userId, "OTHER");
    const room = await alice.newRoom();
    const first = await alice.say(room, "hello", "same");
    const type = path("rooms", room, "send", "org.example.other", "same");
    expect(await alice.call("PUT", type, { n: 1 })).toEqual({ event_id: first });
    expect(await alice.call("PUT", path("rooms", room, "redact", first, "same"), {})).toEqual({ event_id: first });
    expect(await other.say(room, "hello", "same")).not.toBe(first);
  });

  test("waits for something to tell, and not longer than it is told to", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    const start = (await bob.sync()).next_batch;
    const waiting = bob.sync(start, { timeout: "30000" });
    await alice.say(room, "wake up");
    const woken = await waiting;
    expect(bodies(woken.rooms?.join?.[room]?.timeline.events)).toEqual(["wake up"]);
    expect((await bob.sync(woken.next_batch, { timeout: "20" })).rooms).toBeUndefined();
  });

  test("tells members lazily: those who speak, each once, and oneself", async () => {
    const [alice, bob, carol] = [await world().actor(), await world().actor(), await world().actor()];
    const room = await alice.newRoom({ name: "a name" }, bob, carol);
    await alice.say(room, "hello");
    const first = await bob.sync(undefined, { filter: lazy });
    const tidings = first.rooms?.join?.[room];
    expect(members(tidings?.state.events).sort()).toEqual([alice.userId, bob.userId].sort());
    expect(tidings?.summary).toEqual({ "m.joined_member_count": 3, "m.invited_member_count": 0 });
    await alice.say(room, "again");
    const second = await bob.sync(first.next_batch, { filter: lazy });
    expect(members(second.rooms?.join?.[room]?.state.events)).toEqual([]);
    await carol.say(room, "I too");
    const third = await bob.sync(second.next_batch, { filter: lazy });
    expect(members(third.rooms?.join?.[room]?.state.events)).toEqual([carol.userId]);
  });

  test("tells members lazily, and those by whom a room without a name can be called", async () => {
    const [alice, bob, carol] = [await world().actor(), await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob, carol);
    await alice.say(room, "hello");
    const tidings = (await bob.sync(undefined, { filter: lazy })).rooms?.join?.[room];
    expect(members(tidings?.state.events).sort()).toEqual([alice.userId, bob.userId, carol.userId].sort());
    expect(tidings?.summary).toEqual({
      "m.heroes": [alice.userId, carol.userId],
      "m.joined_member_count": 3,
      "m.invited_member_count": 0,
    });
  });

  test("tells lazily of a gap, too, which members have changed in it", async () => {
    const [alice, bob, carol] = [await world().actor(), await world().actor(), await world().actor()];
    const room = await alice.newRoom({ name: "a name" }, bob);
    await alice.act(room, "invite", carol);
    const first = await bob.sync(undefined, { filter: lazy });
    await carol.act(room, "join");
    await alice.say(room, "one");
    await alice.say(room, "two");
    const tidings = (await bob.sync(first.next_batch, { filter: lazy })).rooms?.join?.[room];
    expect([bodies(tidings?.timeline.events), tidings?.timeline.limited]).toEqual([["two"], true]);
    expect(members(tidings?.state.events)).toEqual([carol.userId]);
  });

  test("tells of all state with full_state, though nothing has changed", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    const { next_batch: since } = await alice.sync();
    const tidings = (await alice.sync(since, { full_state: "true" })).rooms?.join?.[room];
    expect(tidings?.timeline.events).toEqual([]);
    expect(types(tidings?.state.events)).toContain("m.room.create");
  });

  test("tells by a filter of some rooms, types and senders only", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const [room, other] = [await alice.newRoom({}, bob), await alice.newRoom({}, bob)];
    await alice.say(room, "from alice");
    await bob.say(room, "from bob");
    const timeline = { types: ["m.room.mess*"], not_senders: [bob.userId] };
    const filter = JSON.stringify({ room: { rooms: [room], timeline }, account_data: { not_types: ["*"] } });
    const reply = await alice.sync(undefined, { filter });
    expect(Object.keys(reply.rooms?.join ?? {})).toEqual([room]);
    expect(other).not.toBe(room);
    expect(bodies(reply.rooms?.join?.[room]?.timeline.events)).toEqual(["from alice"]);
    expect(types(reply.rooms?.join?.[room]?.timeline.events)).toEqual(["m.room.message"]);
    expect(reply.account_data).toBeUndefined();
  });
}
