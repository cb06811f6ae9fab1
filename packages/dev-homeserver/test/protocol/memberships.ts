import { expect, test } from "vitest";
import { bodies, FORBIDDEN, members, NOT_FOUND, path, types, type World } from "./actors.ts";

export function membershipSuite(world: () => World): void {
  const encrypted = {
    name: "a room",
    initial_state: [{ type: "m.room.encryption", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
  };

  test("begin with an invitation, which shows what the room is and who invites", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({ ...encrypted, invite: [bob.userId], is_direct: true });
    const first = await bob.sync();
    const shown = first.rooms?.invite?.[room]?.invite_state.events ?? [];
    expect(types(shown).sort()).toEqual([
      "m.room.create",
      "m.room.encryption",
      "m.room.join_rules",
      "m.room.member",
      "m.room.member",
      "m.room.name",
    ]);
    expect(shown.find((event) => event.state_key === bob.userId)).toMatchObject({
      sender: alice.userId,
      content: { membership: "invite", is_direct: true },
    });
    expect((await bob.sync(first.next_batch)).rooms).toBeUndefined();
    await expect(bob.messages(room, { dir: "b" })).rejects.toMatchObject(FORBIDDEN);
    await bob.call("POST", path("join", room));
    const { joined } = await bob.call("GET", path("rooms", room, "joined_members"));
    expect(Object.keys(joined as object).sort()).toEqual([alice.userId, bob.userId].sort());
    expect((await bob.call("GET", "/joined_rooms")).joined_rooms).toEqual([room]);
  });

  test("are refused to who was not invited, and to a room that is not there", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom();
    await expect(bob.call("POST", path("join", room))).rejects.toMatchObject(FORBIDDEN);
    await expect(bob.call("POST", path("join", "!nowhere:localhost"))).rejects.toMatchObject({ status: 404 });
    await expect(bob.call("POST", path("join", "#nowhere:localhost"))).rejects.toMatchObject(NOT_FOUND);
    await expect(bob.say(room, "hello")).rejects.toMatchObject(FORBIDDEN);
    await expect(bob.call("GET", path("rooms", room, "state"))).rejects.toMatchObject(FORBIDDEN);
  });

  test("of public rooms begin without an invitation, by id or alias", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const name = `alias-${Date.now().toString(36)}`;
    const room = await alice.newRoom({ preset: "public_chat", room_alias_name: name });
    const alias = `#${name}:localhost`;
    expect(await bob.call("GET", path("directory", "room", alias))).toMatchObject({ room_id: room });
    expect(await bob.call("POST", path("join", alias))).toEqual({ room_id: room });
    expect(await bob.call("POST", path("join", room))).toEqual({ room_id: room });
  });

  test("end with the leaving, after which nothing is told", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    const start = (await bob.sync()).next_batch;
    await alice.say(room, "before");
    await bob.act(room, "leave");
    await alice.say(room, "after");
    const reply = await bob.sync(start);
    expect(Object.keys(reply.rooms ?? {})).toEqual(["leave"]);
    const timeline = reply.rooms?.leave?.[room]?.timeline.events;
    expect(types(timeline)).toEqual(["m.room.message", "m.room.member"]);
    expect(bodies(timeline)).toEqual(["before"]);
    expect((await bob.sync(reply.next_batch)).rooms).toBeUndefined();
    expect((await bob.sync()).rooms).toBeUndefined();
    const asked = await bob.sync(undefined, { filter: JSON.stringify({ room: { include_leave: true } }) });
    expect(Object.keys(asked.rooms?.leave ?? {})).toEqual([room]);
    await expect(bob.say(room, "outside")).rejects.toMatchObject(FORBIDDEN);
    await bob.act(room, "leave");
    expect(bodies((await bob.messages(room, { dir: "b" })).chunk)).toEqual(["before"]);
  });

  test("begin again with another invitation, and show what was said meanwhile", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    await bob.act(room, "leave");
    const start = (await bob.sync()).next_batch;
    await alice.say(room, "meanwhile");
    await alice.act(room, "invite", bob);
    const invited = await bob.sync(start);
    expect(Object.keys(invited.rooms?.invite ?? {})).toEqual([room]);
    await bob.act(room, "join");
    const back = (await bob.sync(invited.next_batch)).rooms?.join?.[room];
    expect(bodies(back?.timeline.events)).toEqual(["meanwhile"]);
    expect(back?.timeline.limited).toBe(true);
  });

  test("that were offered can be declined and taken back", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({ invite: [bob.userId] });
    const start = (await bob.sync()).next_batch;
    await bob.act(room, "leave");
    const declined = await bob.sync(start);
    expect(Object.keys(declined.rooms ?? {})).toEqual(["leave"]);
    expect(declined.rooms?.leave?.[room]?.timeline.events.at(-1)).toMatchObject({
      type: "m.room.member",
      state_key: bob.userId,
      content: { membership: "leave" },
    });
    await alice.act(room, "invite", bob);
    const again = await bob.sync(declined.next_batch);
    await alice.act(room, "kick", bob);
    expect(Object.keys((await bob.sync(again.next_batch)).rooms ?? {})).toEqual(["leave"]);
    await expect(bob.act(room, "join")).rejects.toMatchObject(FORBIDDEN);
  });

  test("are ended by who may, for good by a ban", async () => {
    const [alice, bob, carol] = [await world().actor(), await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob, carol);
    await expect(bob.act(room, "kick", carol)).rejects.toMatchObject(FORBIDDEN);
    await expect(bob.act(room, "ban", alice)).rejects.toMatchObject(FORBIDDEN);
    const start = (await carol.sync()).next_batch;
    await alice.act(room, "ban", carol);
    const banned = (await carol.sync(start)).rooms?.leave?.[room]?.timeline.events;
    expect(banned?.at(-1)).toMatchObject({ sender: alice.userId, content: { membership: "ban" } });
    await expect(carol.act(room, "join")).rejects.toMatchObject({ status: 403, errcode: "M_BAD_STATE" });
    await expect(alice.act(room, "invite", carol)).rejects.toMatchObject({ status: 403, errcode: "M_BAD_STATE" });
    await alice.act(room, "unban", carol);
    await alice.act(room, "invite", carol);
    await carol.act(room, "join");
  });

  test("can be asked for by knocking, where the room takes that", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const closed = await alice.newRoom();
    await expect(bob.call("POST", path("knock", closed), {})).rejects.toMatchObject(FORBIDDEN);
    const rule = { type: "m.room.join_rules", content: { join_rule: "knock" } };
    const room = await alice.newRoom({ initial_state: [rule] });
    expect(await bob.call("POST", path("knock", room), { reason: "please" })).toEqual({ room_id: room });
    const waiting = await bob.sync();
    const own = waiting.rooms?.knock?.[room]?.knock_state.events.find((event) => event.state_key === bob.userId);
    expect(own?.content).toMatchObject({ membership: "knock", reason: "please" });
    await alice.act(room, "invite", bob);
    expect(Object.keys((await bob.sync(waiting.next_batch)).rooms ?? {})).toEqual(["invite"]);
  });

  test("that are forgotten are as if they had never been; only what is over can be forgotten", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    await expect(bob.act(room, "forget")).rejects.toMatchObject({ status: 400, errcode: "M_UNKNOWN" });
    await bob.act(room, "leave");
    await bob.act(room, "forget");
    const all = await bob.sync(undefined, { filter: JSON.stringify({ room: { include_leave: true } }) });
    expect(all.rooms).toBeUndefined();
    await expect(bob.messages(room, { dir: "b" })).rejects.toMatchObject(FORBIDDEN);
  });

  test("are listed, all or by what they are, now or at a place in time", async () => {
    const [alice, bob, carol] = [await world().actor(), await world().actor(), await world().actor()];
    const room = await alice.newRoom({ invite: [carol.userId] });
    const { next_batch: before } = await alice.sync();
    await alice.act(room, "invite", bob);
    await bob.act(room, "join");
    await carol.act(room, "leave");
    const list = async (query: string) => {
      const { chunk } = await alice.call("GET", `${path("rooms", room, "members")}?${query}`);
      return members(chunk as never).sort();
    };
    const sorted = (...ids: string[]) => ids.sort();
    expect(await list("")).toEqual(sorted(alice.userId, bob.userId, carol.userId));
    expect(await list("membership=join")).toEqual(sorted(alice.userId, bob.userId));
    expect(await list("not_membership=leave")).toEqual(sorted(alice.userId, bob.userId));
    expect(await list(`at=${before}`)).toEqual(sorted(alice.userId, carol.userId));
  });

  test("carry the names that users give themselves", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const localpart = (userId: string) => userId.slice(1, userId.indexOf(":"));
    expect(await bob.call("GET", path("profile", alice.userId))).toEqual({ displayname: localpart(alice.userId) });
    const room = await alice.newRoom({}, bob);
    const start = (await bob.sync()).next_batch;
    await alice.call("PUT", path("profile", alice.userId, "displayname"), { displayname: "Alice" });
    const [event] = (await bob.sync(start, { timeout: "10000" })).rooms?.join?.[room]?.timeline.events ?? [];
    expect(event).toMatchObject({
      state_key: alice.userId,
      content: { membership: "join", displayname: "Alice" },
      unsigned: { prev_content: { membership: "join", displayname: localpart(alice.userId) } },
    });
    const absent = bob.call("GET", path("profile", "@nobody.at.all:localhost"));
    await expect(absent).rejects.toMatchObject({ status: 404 });
  });
}
