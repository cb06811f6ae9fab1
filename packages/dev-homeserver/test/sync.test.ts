import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DevHomeserver, startDevHomeserver } from "../src/index.ts";
import { HomeserverClient, path } from "../src/party/homeserver-client.ts";

let server: DevHomeserver;
beforeAll(async () => {
  server = await startDevHomeserver({ toDeviceLimit: 3 });
});
afterAll(() => server.close());

let users = 0;
const newUser = (): Promise<HomeserverClient> =>
  HomeserverClient.register(server.url, `sync${++users}`, { deviceId: "DEVICE" });

interface SyncReply {
  readonly next_batch: string;
  readonly rooms?: Partial<Record<"join" | "invite" | "leave", Record<string, RoomTidings>>>;
  readonly to_device?: { readonly events: readonly { readonly content: { readonly n: number } }[] };
  readonly device_lists?: { readonly changed: string[]; readonly left: string[] };
}
interface RoomTidings {
  readonly timeline: { readonly events: readonly Event[]; readonly limited: boolean; readonly prev_batch: string };
  readonly state: { readonly events: readonly Event[] };
  readonly invite_state: { readonly events: readonly Event[] };
}
interface Event {
  readonly type: string;
  readonly content: Record<string, unknown>;
  readonly unsigned: { readonly transaction_id?: string };
}

async function sync(client: HomeserverClient, since?: string, more = ""): Promise<SyncReply> {
  const query = since === undefined ? "" : `since=${since}`;
  return (await client.call("GET", `/sync?${query}${more}`)) as unknown as SyncReply;
}

async function newRoom(creator: HomeserverClient, ...others: HomeserverClient[]): Promise<string> {
  const invite = others.map((other) => other.credentials.userId);
  const room = String((await creator.call("POST", "/createRoom", { invite })).room_id);
  for (const other of others) await other.call("POST", path("join", room));
  return room;
}

const say = (client: HomeserverClient, room: string, body: string, txnId = body) =>
  client.call("PUT", path("rooms", room, "send", "m.room.message", txnId), { msgtype: "m.text", body });

const bodies = (events: readonly Event[]) =>
  events.filter((event) => event.type === "m.room.message").map((event) => event.content.body);

describe("to-device messages", () => {
  const send = (from: HomeserverClient, to: HomeserverClient, n: number, device = "DEVICE", txnId = `t${n}`) =>
    from.call("PUT", path("sendToDevice", "org.example.note", txnId), {
      messages: { [to.credentials.userId]: { [device]: { n } } },
    });
  const numbers = (reply: SyncReply) => reply.to_device?.events.map((event) => event.content.n);
  const waiting = (client: HomeserverClient) => server.toDeviceWaiting(client.credentials.userId, "DEVICE");

  test("come again with the same since, and are deleted once a newer one is seen", async () => {
    const [from, to] = [await newUser(), await newUser()];
    const start = (await sync(to)).next_batch;
    await send(from, to, 1);
    const first = await sync(to, start);
    expect(first.to_device?.events).toEqual([
      { type: "org.example.note", sender: from.credentials.userId, content: { n: 1 } },
    ]);
    expect(numbers(await sync(to, start))).toEqual([1]);
    expect(waiting(to)).toBe(1);
    await send(from, to, 2);
    expect(numbers(await sync(to, first.next_batch))).toEqual([2]);
    expect(waiting(to)).toBe(1);
    expect(numbers(await sync(to, start))).toEqual([2]);
  });

  test("are sent once where a transaction id comes twice", async () => {
    const [from, to] = [await newUser(), await newUser()];
    await send(from, to, 1, "DEVICE", "same");
    await send(from, to, 2, "DEVICE", "same");
    expect(numbers(await sync(to))).toEqual([1]);
  });

  test("reach all of a user's devices by an asterisk, and unknown ones not at all", async () => {
    const [from, to] = [await newUser(), await newUser()];
    await send(from, to, 1, "*");
    await send(from, to, 2, "ELSEWHERE");
    expect(numbers(await sync(to))).toEqual([1]);
  });

  test("come in pages, none of them skipped", async () => {
    const [from, to] = [await newUser(), await newUser()];
    for (let n = 1; n <= 5; n += 1) await send(from, to, n);
    const first = await sync(to);
    expect(numbers(first)).toEqual([1, 2, 3]);
    const second = await sync(to, first.next_batch);
    expect(numbers(second)).toEqual([4, 5]);
    expect(numbers(await sync(to, second.next_batch))).toBeUndefined();
    expect(waiting(to)).toBe(0);
  });
});

describe("timelines", () => {
  test("show a new member the room's state, and then only what is new", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const start = (await sync(bob)).next_batch;
    const room = await newRoom(alice, bob);
    await alice.call("PUT", path("rooms", room, "state", "m.room.encryption"), { algorithm: "m.megolm.v1.aes-sha2" });
    const first = await sync(bob, start, '&filter={"room":{"timeline":{"limit":1}}}');
    const tidings = first.rooms?.join?.[room];
    expect(tidings?.timeline.limited).toBe(true);
    expect(tidings?.timeline.events.map((event) => event.type)).toEqual(["m.room.encryption"]);
    expect(tidings?.state.events.map((event) => event.type).sort()).toEqual([
      "m.room.create",
      "m.room.guest_access",
      "m.room.history_visibility",
      "m.room.join_rules",
      "m.room.member",
      "m.room.member",
      "m.room.power_levels",
    ]);
    await say(alice, room, "one");
    const second = await sync(bob, first.next_batch);
    expect(second.rooms?.join?.[room]?.state.events).toEqual([]);
    expect(bodies(second.rooms?.join?.[room]?.timeline.events ?? [])).toEqual(["one"]);
    expect((await sync(bob, second.next_batch)).rooms).toBeUndefined();
  });

  test("leave a gap where there is more than the limit, which messages fills", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const room = await newRoom(alice, bob);
    const start = (await sync(bob)).next_batch;
    for (let n = 1; n <= 15; n += 1) await say(alice, room, String(n));
    const timeline = (await sync(bob, start)).rooms?.join?.[room]?.timeline;
    expect(timeline?.limited).toBe(true);
    expect(bodies(timeline?.events ?? [])).toEqual(["6", "7", "8", "9", "10", "11", "12", "13", "14", "15"]);
    const gap = `${path("rooms", room, "messages")}?dir=b&to=${start}&limit=3`;
    const page = await bob.call("GET", `${gap}&from=${timeline?.prev_batch}`);
    expect(bodies(page.chunk as Event[])).toEqual(["5", "4", "3"]);
    const last = await bob.call("GET", `${gap}&from=${page.end}`);
    expect(bodies(last.chunk as Event[])).toEqual(["2", "1"]);
    const beyond = await bob.call("GET", `${gap}&from=${last.end}`);
    expect(beyond.chunk).toEqual([]);
    expect(beyond.end).toBeUndefined();
  });

  test("hold an event once however often it is sent, and name the transaction to its sender only", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const room = await newRoom(alice, bob);
    const { event_id } = await say(alice, room, "hello", "txn");
    expect((await say(alice, room, "hello", "txn")).event_id).toBe(event_id);
    const seenByAlice = (await sync(alice)).rooms?.join?.[room]?.timeline.events.at(-1);
    const seenByBob = (await sync(bob)).rooms?.join?.[room]?.timeline.events ?? [];
    expect(seenByAlice?.unsigned.transaction_id).toBe("txn");
    expect(bodies(seenByBob)).toEqual(["hello"]);
    expect(seenByBob.at(-1)?.unsigned.transaction_id).toBeUndefined();
  });

  test("end for who left, after the leaving", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const room = await newRoom(alice, bob);
    const start = (await sync(bob)).next_batch;
    await say(alice, room, "before");
    await bob.call("POST", path("rooms", room, "leave"));
    await say(alice, room, "after");
    const reply = await sync(bob, start);
    expect(Object.keys(reply.rooms ?? {})).toEqual(["leave"]);
    expect(bodies(reply.rooms?.leave?.[room]?.timeline.events ?? [])).toEqual(["before"]);
    await expect(say(bob, room, "outside")).rejects.toMatchObject({ status: 403, errcode: "M_FORBIDDEN" });
  });

  test("are not shown to the invited, who may join", async () => {
    const [alice, bob, carol] = [await newUser(), await newUser(), await newUser()];
    const room = await newRoom(alice);
    await alice.call("POST", path("rooms", room, "invite"), { user_id: bob.credentials.userId });
    const invited = (await sync(bob)).rooms?.invite?.[room];
    expect(invited?.invite_state.events.map((event) => event.type)).toEqual([
      "m.room.create",
      "m.room.join_rules",
      "m.room.member",
      "m.room.member",
    ]);
    await expect(carol.call("POST", path("join", room))).rejects.toMatchObject({ errcode: "M_FORBIDDEN" });
    await bob.call("POST", path("join", room));
    const { joined } = await bob.call("GET", path("rooms", room, "joined_members"));
    expect(Object.keys(joined as object)).toEqual([alice.credentials.userId, bob.credentials.userId]);
  });
});

describe("waiting", () => {
  test("ends as soon as there is something to tell", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const room = await newRoom(alice, bob);
    const start = (await sync(bob)).next_batch;
    const waiting = sync(bob, start, "&timeout=30000");
    await say(alice, room, "wake up");
    expect(bodies((await waiting).rooms?.join?.[room]?.timeline.events ?? [])).toEqual(["wake up"]);
  });

  test("ends with nothing when its time is over", async () => {
    const bob = await newUser();
    const start = (await sync(bob)).next_batch;
    expect((await sync(bob, start, "&timeout=20")).rooms).toBeUndefined();
  });
});

describe("device lists", () => {
  const upload = (client: HomeserverClient, key: string) => {
    const { userId, deviceId } = client.credentials;
    return client.call("POST", "/keys/upload", {
      device_keys: { user_id: userId, device_id: deviceId, keys: { "curve25519:DEVICE": key } },
    });
  };

  test("tell of new keys to who shares a room, once", async () => {
    const [alice, bob, stranger] = [await newUser(), await newUser(), await newUser()];
    await newRoom(alice, bob);
    const start = (await sync(bob)).next_batch;
    await upload(alice, "one");
    await upload(stranger, "one");
    const first = await sync(bob, start);
    expect(first.device_lists).toEqual({ changed: [alice.credentials.userId], left: [] });
    await upload(alice, "one");
    expect((await sync(bob, first.next_batch)).device_lists).toBeUndefined();
    await upload(alice, "two");
    expect((await sync(bob, first.next_batch)).device_lists?.changed).toEqual([alice.credentials.userId]);
  });

  test("tell who has come to share a room, and who shares none any more", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const start = (await sync(bob)).next_batch;
    const [first, second] = [await newRoom(alice, bob), await newRoom(alice, bob)];
    const together = await sync(bob, start);
    expect(together.device_lists).toEqual({
      changed: [alice.credentials.userId, bob.credentials.userId],
      left: [],
    });
    await alice.call("POST", path("rooms", first, "leave"));
    const still = await sync(bob, together.next_batch);
    expect(still.device_lists).toBeUndefined();
    await bob.call("POST", path("rooms", second, "leave"));
    expect((await sync(bob, still.next_batch)).device_lists).toEqual({
      changed: [],
      left: [alice.credentials.userId],
    });
  });
});
