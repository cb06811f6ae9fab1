import { expect, test } from "vitest";
import { type Event, FORBIDDEN, NOT_FOUND, path, types, type World } from "./actors.ts";

export function roomSuite(world: () => World): void {
  test("are made with the events of their preset, and what was asked for, in order", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({
      preset: "trusted_private_chat",
      name: "a name",
      topic: "a topic",
      invite: [bob.userId],
      room_version: "10",
      creation_content: { "m.federate": false },
      initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    const { chunk } = await alice.messages(room, { dir: "f" });
    expect(types(chunk)).toEqual([
      "m.room.create",
      "m.room.member",
      "m.room.power_levels",
      "m.room.join_rules",
      "m.room.history_visibility",
      "m.room.guest_access",
      "m.room.encryption",
      "m.room.name",
      "m.room.topic",
      "m.room.member",
    ]);
    expect(chunk[0]?.content).toEqual({ creator: alice.userId, room_version: "10", "m.federate": false });
    expect(chunk[2]?.content).toMatchObject({ users: { [alice.userId]: 100, [bob.userId]: 100 }, invite: 0 });
    expect(chunk[6]?.content).toEqual({ algorithm: "m.megolm.v1.aes-sha2" });
    expect(await alice.call("GET", path("rooms", room, "state", "m.room.join_rules", ""))).toEqual({
      join_rule: "invite",
    });
  });

  test("are not made in a version that nobody knows", async () => {
    const alice = await world().actor();
    await expect(alice.newRoom({ room_version: "nonsense" })).rejects.toMatchObject({
      status: 400,
      errcode: "M_UNSUPPORTED_ROOM_VERSION",
    });
  });

  test("are set above every level by their creator from version 12 on, and their ids name no server", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom({ room_version: "12" });
    expect(room).toMatch(/^![A-Za-z0-9_-]{43}$/);
    const levels = (await alice.call("GET", path("rooms", room, "state", "m.room.power_levels", ""))) as {
      users: object;
    };
    expect(levels.users).toEqual({});
    await alice.setState(room, "m.room.name", { name: "a name" });
    await alice.setState(room, "m.room.power_levels", { ...levels, state_default: 99 });
  });

  test("show their state, whole and piece by piece", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({ name: "a name" }, bob);
    const all = (await bob.call("GET", path("rooms", room, "state"))) as unknown as Event[];
    expect(types(all).sort()).toEqual([
      "m.room.create",
      "m.room.guest_access",
      "m.room.history_visibility",
      "m.room.join_rules",
      "m.room.member",
      "m.room.member",
      "m.room.name",
      "m.room.power_levels",
    ]);
    expect(await bob.call("GET", path("rooms", room, "state", "m.room.name"))).toEqual({ name: "a name" });
    expect(await bob.call("GET", path("rooms", room, "state", "m.room.member", bob.userId))).toMatchObject({
      membership: "join",
    });
    const absent = bob.call("GET", path("rooms", room, "state", "m.room.encryption", ""));
    await expect(absent).rejects.toMatchObject(NOT_FOUND);
  });

  test("let those change their state who may, and do not repeat what is already there", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    await expect(bob.setState(room, "m.room.name", { name: "bob's" })).rejects.toMatchObject(FORBIDDEN);
    const first = await alice.setState(room, "m.room.name", { name: "alice's" });
    expect(await alice.setState(room, "m.room.name", { name: "alice's" })).toBe(first);
    const levels = await alice.call("GET", path("rooms", room, "state", "m.room.power_levels", ""));
    await alice.setState(room, "m.room.power_levels", {
      ...levels,
      users: { [alice.userId]: 100, [bob.userId]: 50 },
      events_default: 50,
    });
    await bob.setState(room, "m.room.name", { name: "bob's" });
    await expect(bob.setState(room, "m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" })).rejects.toMatchObject(
      FORBIDDEN,
    );
  });

  test("keep who may not speak from speaking", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({ power_level_content_override: { events_default: 10 } }, bob);
    await expect(bob.say(room, "hello")).rejects.toMatchObject(FORBIDDEN);
    await alice.say(room, "hello");
  });

  test("take no event that is larger than 64 KiB", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    await alice.say(room, "x".repeat(60_000), "small");
    await expect(alice.say(room, "x".repeat(66_000), "large")).rejects.toMatchObject({
      status: 413,
      errcode: "M_TOO_LARGE",
    });
  });

  test("are replaced by an upgrade: a tombstone there, a predecessor here, and the state that matters", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const encryption = { algorithm: "m.megolm.v1.aes-sha2", rotation_period_msgs: 7 };
    const options = { name: "a name", initial_state: [{ type: "m.room.encryption", content: encryption }] };
    const room = await alice.newRoom({ room_version: "10", ...options }, bob);
    const upgrade = path("rooms", room, "upgrade");
    await expect(bob.call("POST", upgrade, { new_version: "11" })).rejects.toMatchObject(FORBIDDEN);
    const { replacement_room: replacement } = await alice.call("POST", upgrade, { new_version: "11" });
    expect(await bob.call("GET", path("rooms", room, "state", "m.room.tombstone", ""))).toEqual({
      body: expect.any(String),
      replacement_room: replacement,
    });
    const state = (type: string) => alice.call("GET", path("rooms", String(replacement), "state", type, ""));
    expect(await state("m.room.create")).toMatchObject({ room_version: "11", predecessor: { room_id: room } });
    expect(await state("m.room.encryption")).toEqual(encryption);
    expect(await state("m.room.name")).toEqual({ name: "a name" });
    await expect(bob.say(room, "too late")).rejects.toMatchObject(FORBIDDEN);
    expect((await bob.call("GET", "/joined_rooms")).joined_rooms).toEqual([room]);
  });

  test("say which versions they may have", async () => {
    const alice = await world().actor();
    const { capabilities } = await alice.call("GET", "/capabilities");
    expect(capabilities).toMatchObject({
      "m.room_versions": { default: "11", available: { "10": "stable", "11": "stable", "12": "stable" } },
    });
  });

  test("take typing, receipts and read markers", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    const event = await alice.say(room, "hello");
    const typing = path("rooms", room, "typing", alice.userId);
    expect(await alice.call("PUT", typing, { typing: true, timeout: 1_000 })).toEqual({});
    expect(await alice.call("POST", path("rooms", room, "receipt", "m.read", event), {})).toEqual({});
    expect(await alice.call("POST", path("rooms", room, "read_markers"), { "m.fully_read": event })).toEqual({});
  });
}
