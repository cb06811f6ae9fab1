import { expect, test } from "vitest";
import { type Actor, bodies, type Event, FORBIDDEN, members, NOT_FOUND, path, types, type World } from "./actors.ts";

export function historySuite(world: () => World): void {
  const visible = (visibility: string) => ({
    initial_state: [{ type: "m.room.history_visibility", content: { history_visibility: visibility } }],
  });
  const sayAll = async (actor: Actor, room: string, from: number, to: number) => {
    for (let n = from; n <= to; n += 1) await actor.say(room, String(n));
  };

  test("is read backward and forward in pages, to an end that an empty page tells", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    await sayAll(alice, room, 1, 5);
    for (const [dir, expected] of [
      ["b", ["5", "4", "3", "2", "1"]],
      ["f", ["1", "2", "3", "4", "5"]],
    ] as const) {
      const read: unknown[] = [];
      let [from, pages]: [string | undefined, number] = [undefined, 0];
      do {
        const page = await alice.messages(room, { dir, limit: "4", ...(from === undefined ? {} : { from }) });
        if (page.end === undefined) expect(page.chunk).toEqual([]);
        read.push(...bodies(page.chunk));
        from = page.end;
        pages += 1;
      } while (from !== undefined && pages < 10);
      expect(read).toEqual(expected);
      expect(pages).toBe(4);
    }
  });

  test("fills the gap that a limited sync leaves", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    const since = (await bob.sync()).next_batch;
    await sayAll(alice, room, 1, 15);
    const timeline = (await bob.sync(since)).rooms?.join?.[room]?.timeline;
    const range = { dir: "b", to: since };
    const first = await bob.messages(room, { ...range, limit: "3", from: String(timeline?.prev_batch) });
    expect(bodies(first.chunk)).toEqual(["5", "4", "3"]);
    const second = await bob.messages(room, { ...range, limit: "3", from: String(first.end) });
    expect(bodies(second.chunk)).toEqual(["2", "1"]);
    const third = await bob.messages(room, { ...range, limit: "3", from: String(second.end) });
    expect(third.chunk).toEqual([]);
  });

  test("is read by a filter, with the members of who speaks where they are wanted", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    await bob.say(room, "hello");
    const filter = JSON.stringify({ types: ["m.room.message"], lazy_load_members: true });
    const page = (await alice.messages(room, { dir: "b", filter })) as { chunk: Event[]; state?: Event[] };
    expect(types(page.chunk)).toEqual(["m.room.message"]);
    expect(members(page.state)).toEqual([bob.userId]);
  });

  test("is visible to who joins later where it is shared, and else from the invitation or the joining on", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const seen: Record<string, unknown[]> = {};
    for (const visibility of ["shared", "invited", "joined", "world_readable"]) {
      const room = await alice.newRoom(visible(visibility));
      await alice.say(room, "before");
      await alice.act(room, "invite", bob);
      await alice.say(room, "invited");
      await bob.act(room, "join");
      await alice.say(room, "joined");
      const { chunk } = await bob.messages(room, { dir: "f" });
      seen[visibility] = bodies(chunk);
      const timeline = (await bob.sync()).rooms?.join?.[room]?.timeline.events;
      expect(bodies(timeline)).toEqual(bodies(chunk));
    }
    expect(seen).toEqual({
      shared: ["before", "invited", "joined"],
      invited: ["invited", "joined"],
      joined: ["joined"],
      world_readable: ["before", "invited", "joined"],
    });
  });

  test("is invisible event by event, too", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom(visible("joined"));
    const before = await alice.say(room, "before");
    await alice.act(room, "invite", bob);
    await bob.act(room, "join");
    const after = await alice.say(room, "after");
    const event = (id: string) => bob.call("GET", path("rooms", room, "event", id));
    await expect(event(before)).rejects.toMatchObject(NOT_FOUND);
    expect(await event(after)).toMatchObject({ event_id: after, room_id: room, content: { body: "after" } });
    await expect(event("$nonsense")).rejects.toMatchObject(NOT_FOUND);
  });

  test("is shown around an event", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    await sayAll(alice, room, 1, 7);
    const { chunk } = await alice.messages(room, { dir: "b", limit: "4" });
    const middle = chunk.at(-1)?.event_id ?? "";
    const around = await alice.call("GET", `${path("rooms", room, "context", middle)}?limit=4`);
    expect(around.event).toMatchObject({ content: { body: "4" } });
    expect(bodies(around.events_before as Event[])).toEqual(["3", "2"]);
    expect(bodies(around.events_after as Event[])).toEqual(["5", "6"]);
    expect(types(around.state as Event[])).toContain("m.room.create");
    const before = await alice.messages(room, { dir: "b", limit: "1", from: String(around.start) });
    expect(bodies(before.chunk)).toEqual(["1"]);
  });

  test("loses the content of what is redacted, by its sender or who may", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const room = await alice.newRoom({}, bob);
    const [own, others] = [await bob.say(room, "bob's"), await alice.say(room, "alice's")];
    const redact = (actor: Actor, id: string, txnId: string) =>
      actor.call("PUT", path("rooms", room, "redact", id, txnId), { reason: "a reason" });
    const { event_id: redaction } = await redact(bob, own, "r1");
    const event = await alice.call("GET", path("rooms", room, "event", own));
    expect(event).toMatchObject({ content: {}, unsigned: { redacted_because: { event_id: redaction } } });
    expect(event.content).toEqual({});
    await expect(redact(bob, others, "r2")).rejects.toMatchObject(FORBIDDEN);
    const told = (await alice.sync()).rooms?.join?.[room]?.timeline.events.at(-1);
    expect(told).toMatchObject({ type: "m.room.redaction", content: { redacts: own, reason: "a reason" } });
    await redact(alice, own, "r3");
  });

  test("is found by what events refer to", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    const parent = await alice.say(room, "parent");
    const relate = async (type: string, relType: string, n: number) => {
      const content = { msgtype: "m.text", body: String(n), "m.relates_to": { rel_type: relType, event_id: parent } };
      return (await alice.call("PUT", path("rooms", room, "send", type, `r${n}`), content)).event_id;
    };
    const [first, second] = [
      await relate("m.room.message", "m.thread", 1),
      await relate("m.room.message", "m.thread", 2),
    ];
    const other = await relate("org.example.note", "m.reference", 3);
    const related = async (...more: string[]) => {
      const endpoint = path("rooms", room, "relations", parent, ...more);
      const { body } = await world().bare("GET", `/_matrix/client/v1${endpoint}`, undefined, alice.token);
      return (body.chunk as Event[]).map((event) => event.event_id);
    };
    expect(await related()).toEqual([other, second, first]);
    expect(await related("m.thread")).toEqual([second, first]);
    expect(await related("m.reference", "org.example.note")).toEqual([other]);
  });
}
