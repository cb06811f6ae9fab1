import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { DeviceId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { path } from "../src/http/path.ts";
import { RoomActions } from "../src/rooms/room-actions.ts";
import {
  anotherDevice,
  bodiesSeenBy,
  fault,
  hangUp,
  lostAnswer,
  MEGOLM,
  party,
  refuse,
  SEND,
} from "./support/dev-rooms.ts";
import { register, SendingClient, type SendingClientOptions } from "./support/sending-client.ts";

let homeserver: DevHomeserver;
const open: SendingClient[] = [];

beforeEach(async () => {
  homeserver = await startDevHomeserver();
});

afterEach(async () => {
  vi.useRealTimers();
  for (const client of open.splice(0)) await client.close();
  await homeserver.close();
});

async function bot(options: SendingClientOptions = {}): Promise<SendingClient> {
  const client = await SendingClient.open(await register(homeserver.url, "bot"), options);
  open.push(client);
  return client;
}

const text = (body: string) => ({ msgtype: "m.text", body });
const sendText = (client: SendingClient, room: string, body: string, options = {}) =>
  client.outbox.send(room, "m.room.message", text(body), options);

/** A bot and Alice in a room. */
async function talk(encryption: object = MEGOLM) {
  const [sender, alice] = [await bot(), await party(homeserver, "alice")];
  const room = await sender.createRoom({ encryption: { ...encryption }, invite: [alice.userId] });
  await alice.join(room);
  await sender.sync();
  return { sender, alice, room };
}

const types = async (client: SendingClient, room: string) => (await client.timeline(room)).map(({ type }) => type);
const sessions = async (client: SendingClient, room: string) =>
  new Set((await client.timeline(room)).map(({ content }) => content.session_id)).size;

describe("a message to an encrypted room", () => {
  it("is read by those who are in it, and is ciphertext on the homeserver", async () => {
    const { sender, alice, room } = await talk();
    const { eventId } = await sendText(sender, room, "hello");
    const [event] = await sender.timeline(room);
    expect(event).toMatchObject({ event_id: eventId, type: "m.room.encrypted" });
    const shown = ["algorithm", "ciphertext", "device_id", "sender_key", "session_id"];
    expect(Object.keys(event?.content ?? {}).sort()).toEqual(shown);
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
  });

  it("shows what it relates to, and nothing else", async () => {
    const { sender, alice, room } = await talk();
    const { eventId } = await sendText(sender, room, "first");
    const relation = { rel_type: "m.replace", event_id: eventId };
    const content = { ...text("* second"), "m.new_content": text("second"), "m.relates_to": relation };
    await sender.outbox.send(room, "m.room.message", content);
    const edit = (await sender.timeline(room))[1];
    expect(edit?.content["m.relates_to"]).toEqual(relation);
    expect(JSON.stringify(edit)).not.toContain("second");
    const { received } = await alice.sync();
    expect(received.at(-1)).toMatchObject({ kind: "decrypted", content });
  });

  it("can be read by a device that was logged in since the message before", async () => {
    const { sender, alice, room } = await talk();
    await sendText(sender, room, "before");
    const second = await anotherDevice(alice);
    await sender.sync();
    await sendText(sender, room, "after");
    expect(await bodiesSeenBy(second)).toEqual(["undecryptable", "after"]);
    expect(await bodiesSeenBy(alice)).toEqual(["before", "after"]);
  });

  it("can be read by a member who has joined since the message before, who cannot read that one", async () => {
    const { sender, room } = await talk();
    await sendText(sender, room, "before");
    const bob = await party(homeserver, "bob");
    await new RoomActions(sender).invite(room, bob.userId);
    await bob.join(room);
    await sendText(sender, room, "after");
    expect(await bodiesSeenBy(bob)).toEqual(["undecryptable", "after"]);
  });

  it("has another key once somebody has left", async () => {
    const { sender, alice, room } = await talk();
    await sendText(sender, room, "one");
    await sendText(sender, room, "two");
    expect(await sessions(sender, room)).toBe(1);
    await alice.client.call("POST", path`/rooms/${room}/leave`);
    await sender.sync();
    await sendText(sender, room, "three");
    expect(await sessions(sender, room)).toBe(2);
    expect(homeserver.toDeviceWaiting(alice.userId, alice.client.credentials.deviceId)).toBe(1);
  });

  it("has another key after as many messages as the room says", async () => {
    const { sender, alice, room } = await talk({ ...MEGOLM, rotation_period_msgs: 2 });
    for (const body of ["1", "2", "3", "4", "5"]) await sendText(sender, room, body);
    expect(await sessions(sender, room)).toBe(3);
    expect(await bodiesSeenBy(alice)).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("has its key shared ahead where the room was prepared", async () => {
    const { sender, alice, room } = await talk();
    await sender.encryptor.prepare(room);
    expect(homeserver.toDeviceWaiting(alice.userId, alice.client.credentials.deviceId)).toBe(1);
    expect(await types(sender, room)).toEqual([]);
    const { count } = fault(homeserver, { route: "/sendToDevice/{eventType}/{txnId}" }, 0, hangUp);
    await sendText(sender, room, "fast");
    expect(count()).toBe(0);
    expect(await bodiesSeenBy(alice)).toEqual(["fast"]);
  });

  it("goes out although one-time keys, room keys and the message itself get lost on the way", async () => {
    const { sender, alice, room } = await talk();
    const routes = ["/keys/query", "/keys/claim", "/sendToDevice/{eventType}/{txnId}", "/members", SEND];
    for (const route of routes) {
      fault(homeserver, { route, user: sender.login.userId }, 1, lostAnswer);
      fault(homeserver, { route, user: sender.login.userId }, 1, refuse(502, "M_UNKNOWN"));
    }
    await sendText(sender, room, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    expect(await types(sender, room)).toEqual(["m.room.encrypted"]);
  });

  it("goes out, and asks once, where a device has no one-time key left", async () => {
    const { sender, alice, room } = await talk();
    const noKeys = async () => ({ status: 200, body: { one_time_keys: {}, failures: {} } });
    const { count } = fault(homeserver, { route: "/keys/claim" }, 9, noKeys);
    await sendText(sender, room, "hello");
    expect(count()).toBe(1);
    expect(await bodiesSeenBy(alice)).toEqual(["undecryptable"]);
  });

  it("is read although the session with a device had broken, which the next sync mends", async () => {
    const { sender, alice, room } = await talk();
    await sendText(sender, room, "one");
    await alice.sync();
    const { userId, deviceId } = sender.login;
    const encrypted = await alice.engine.run(async (machine) => {
      const device = await machine.getDevice(new UserId(userId), new DeviceId(deviceId));
      return device?.encryptToDeviceEvent("org.example.note", {}) ?? "";
    });
    const content = JSON.parse(encrypted);
    const [message] = Object.values<{ body: string }>(content.ciphertext);
    const bytes = Buffer.from(message?.body ?? "", "base64");
    // A byte of the message itself, behind its keys.
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 12) ^ 1, bytes.length - 12);
    Object.assign(message ?? {}, { body: bytes.toString("base64").replaceAll("=", "") });
    const messages = { [userId]: { [deviceId]: content } };
    // The engine gives a session an hour before it makes another.
    vi.setSystemTime(Date.now() + 2 * 3_600_000);
    await alice.client.call("PUT", "/sendToDevice/m.room.encrypted/broken", { messages });
    const { count } = fault(homeserver, { route: "/keys/claim", user: userId }, 0, hangUp);
    await sender.sync();
    expect(count()).toBe(1);
    await sendText(sender, room, "two");
    expect(await bodiesSeenBy(alice)).toEqual(["two"]);
  });

  it("goes to signed devices only where that is asked for, and to nobody before there is an identity of ours", async () => {
    const sender = await bot({ shareKeysWith: "signed-devices" });
    const room = await sender.createRoom({ encryption: MEGOLM });
    await sender.sync();
    await expect(sendText(sender, room, "hello")).rejects.toMatchObject({ code: "NOT_SET_UP" });
    expect(await types(sender, room)).toEqual([]);
  });
});

describe("what is not encrypted", () => {
  it("is a message to a plain room", async () => {
    const sender = await bot();
    const room = await sender.createRoom({});
    await sender.sync();
    await sendText(sender, room, "hello");
    expect(await sender.timeline(room)).toMatchObject([{ type: "m.room.message", content: text("hello") }]);
  });

  it("is a reaction, and a redaction", async () => {
    const { sender, room } = await talk();
    const { eventId } = await sendText(sender, room, "hello");
    const relation = { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "+1" } };
    await sender.outbox.send(room, "m.reaction", relation);
    await sender.outbox.redact(room, eventId, "a mistake");
    const [, reaction, redaction] = await sender.timeline(room);
    expect(reaction).toMatchObject({ type: "m.reaction", content: relation });
    expect(redaction).toMatchObject({ type: "m.room.redaction", content: { reason: "a mistake" } });
  });

  it("is never what claims to be encrypted already", async () => {
    const { sender, room } = await talk();
    await expect(sender.outbox.send(room, "m.room.encrypted", text("hello"))).rejects.toMatchObject({ code: "CONFIG" });
    expect(await types(sender, room)).toEqual([]);
  });
});

describe("sending", () => {
  it("makes one event although the homeserver's answer is lost", async () => {
    const { sender, alice, room } = await talk();
    const { count } = fault(homeserver, { route: SEND }, 2, lostAnswer);
    const { eventId } = await sendText(sender, room, "hello");
    expect(count()).toBe(3);
    expect((await sender.timeline(room)).map((event) => event.event_id)).toEqual([eventId]);
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
  });

  it("makes one event of two sends under one transaction id", async () => {
    const { sender, room } = await talk();
    const options = { transactionId: "t1" };
    const [one, two] = await Promise.all([sendText(sender, room, "a", options), sendText(sender, room, "a", options)]);
    const three = await sendText(sender, room, "a", options);
    expect([two, three]).toEqual([one, one]);
    expect(await types(sender, room)).toEqual(["m.room.encrypted"]);
  });

  it("keeps the order of a room, whatever gets lost, and does not hold other rooms up", async () => {
    const { sender, alice, room } = await talk();
    const plain = await sender.createRoom({});
    await sender.sync();
    let failures = 0;
    const reached = Promise.withResolvers<void>();
    homeserver.use(async (call, next) => {
      if (!call.route.endsWith(SEND) || call.parameters.roomId !== room) return next();
      failures += 1;
      await reached.promise;
      return failures <= 2 ? "hang up" : next();
    });
    const sent = ["1", "2", "3", "4"].map((body) => sendText(sender, room, body));
    await sendText(sender, plain, "elsewhere");
    reached.resolve();
    const ids = (await Promise.all(sent)).map(({ eventId }) => eventId);
    expect((await sender.timeline(room)).map((event) => event.event_id)).toEqual(ids);
    expect(await bodiesSeenBy(alice)).toEqual(["1", "2", "3", "4"]);
  });

  it("tells the caller of a refusal, and drops the event", async () => {
    const { sender, alice, room } = await talk();
    fault(homeserver, { route: SEND }, 1, refuse(403, "M_FORBIDDEN"));
    const error = await sendText(sender, room, "no").catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "REQUEST_REFUSED", retryable: false, cause: { errcode: "M_FORBIDDEN" } });
    await sendText(sender, room, "yes");
    await sender.close();
    open.push(await SendingClient.open(sender.login, { storage: sender.storage }));
    await open.at(-1)?.outbox.resume();
    expect(await bodiesSeenBy(alice)).toEqual(["yes"]);
  });

  it("waits as the homeserver asks where it is asked too often", async () => {
    const { sender, room } = await talk();
    const { count } = fault(homeserver, { route: SEND }, 2, refuse(429, "M_LIMIT_EXCEEDED", { retry_after_ms: 1 }));
    await sendText(sender, room, "hello");
    expect(count()).toBe(3);
  });

  it("keeps an event for the next session where this one has ended", async () => {
    const { sender, alice, room } = await talk();
    fault(homeserver, { route: SEND }, 1, refuse(401, "M_UNKNOWN_TOKEN"));
    await expect(sendText(sender, room, "hello")).rejects.toMatchObject({ code: "REQUEST_REFUSED" });
    await sender.close();
    const next = await SendingClient.open(sender.login, { storage: sender.storage });
    open.push(next);
    await next.outbox.resume();
    await sendText(next, room, "and on");
    expect(await bodiesSeenBy(alice)).toEqual(["hello", "and on"]);
  });

  it("is given up when the signal aborts, and the event with it", async () => {
    const { sender, alice, room } = await talk();
    const giveUp = new AbortController();
    const reason = new Error("no patience");
    fault(homeserver, { route: SEND }, 1, async () => {
      giveUp.abort(reason);
      return "hang up";
    });
    await expect(sendText(sender, room, "no", { signal: giveUp.signal })).rejects.toBe(reason);
    await sendText(sender, room, "yes");
    expect(await bodiesSeenBy(alice)).toEqual(["yes"]);
  });

  it("ends when the client closes, whatever it waits for, and says so", async () => {
    const { sender, room } = await talk();
    const asked = Promise.withResolvers<void>();
    fault(homeserver, { route: "/keys/query", user: sender.login.userId }, 1, (call) => {
      asked.resolve();
      return new Promise((resolve) => call.signal.addEventListener("abort", () => resolve("hang up")));
    });
    const sending = [sendText(sender, room, "one"), sendText(sender, room, "two")];
    const outcomes = Promise.allSettled(sending);
    await asked.promise;
    await sender.outbox.close();
    const closed = { status: "rejected", reason: expect.objectContaining({ code: "CLOSED" }) };
    expect(await outcomes).toEqual([closed, closed]);
    await expect(sendText(sender, room, "three")).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("is refused, and says why, where what is in the outbox cannot be read", async () => {
    const { sender, room } = await talk();
    const { encryption } = sender;
    const change = encryption?.collection<string>("outbox").put(Buffer.alloc(8), "damaged");
    await encryption?.commit(change === undefined ? [] : [change]);
    const error = await sendText(sender, room, "hello").catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "ENCRYPTION_UNAVAILABLE", cause: { code: "ERR_KEY_STORE_CORRUPT" } });
    await expect(sender.outbox.resume()).rejects.toMatchObject({ code: "ERR_KEY_STORE_CORRUPT" });
    expect(await types(sender, room)).toEqual([]);
  });

  it("answers an owner's send that it made before, without another, until the owner is forgotten", async () => {
    const { sender, room } = await talk();
    const options = { transactionId: "t1", owner: "entry 1" };
    const first = await sendText(sender, room, "hello", options);
    await sender.close();
    const next = await SendingClient.open(sender.login, { storage: sender.storage });
    open.push(next);
    const { count } = fault(homeserver, { route: SEND }, 0, hangUp);
    expect(await sendText(next, room, "hello", options)).toEqual(first);
    expect(await next.outbox.find(room, options)).toEqual(first);
    expect(await next.outbox.find(room, { ...options, owner: "entry 2" })).toBeUndefined();
    expect(count()).toBe(0);
    await next.encryption?.commit(next.outbox.forgetOwner("entry 1"));
    expect(await next.outbox.find(room, options)).toBeUndefined();
  });
});

describe("a room of which it is not known whether it is encrypted", () => {
  const STATE = "/state/{eventType}/{stateKey?}";

  it.each([
    ["HTTP 500", refuse(500, "M_UNKNOWN")],
    ["M_FORBIDDEN", refuse(403, "M_FORBIDDEN")],
    ["another HTTP 404", refuse(404, "M_UNRECOGNIZED")],
    ["no answer", hangUp],
  ])("is sent nothing after %s", async (_, outcome) => {
    const sender = await bot();
    const room = await sender.createRoom({});
    fault(homeserver, { method: "GET", route: STATE }, 1, outcome);
    const { count } = fault(homeserver, { route: SEND }, 0, hangUp);
    await expect(sendText(sender, room, "hello")).rejects.toMatchObject({
      code: "ROOM_ENCRYPTION_UNKNOWN",
      retryable: true,
    });
    expect(count()).toBe(0);
    await sendText(sender, room, "hello");
    expect(await types(sender, room)).toEqual(["m.room.message"]);
  });

  it("is sent nothing where its algorithm is not spoken here", async () => {
    const sender = await bot();
    for (const encryption of [{ algorithm: "m.megolm.v9" }, { algorithm: 7 }, {}]) {
      const room = await sender.createRoom({ encryption });
      await sender.sync();
      await expect(sendText(sender, room, "hello")).rejects.toMatchObject({ code: "ROOM_ENCRYPTION_UNKNOWN" });
      expect(await types(sender, room)).toEqual([]);
    }
  });
});

describe("while the store is away", () => {
  it("an encrypted room is sent nothing, by what reaches the homeserver, and a plain one is", async () => {
    const { sender, room } = await talk();
    const plain = await sender.createRoom({});
    await sendText(sender, room, "before");
    sender.goAway();
    await sender.sync();
    const { count } = fault(homeserver, { route: SEND }, 0, hangUp);
    const refused = { code: "ENCRYPTION_UNAVAILABLE", retryable: true };
    await expect(sendText(sender, room, "hello")).rejects.toMatchObject(refused);
    await expect(sender.encryptor.prepare(room)).rejects.toMatchObject(refused);
    expect(count()).toBe(0);
    await sendText(sender, plain, "hello");
    expect(await types(sender, plain)).toEqual(["m.room.message"]);
    await sender.comeBack();
    await sendText(sender, room, "again");
    expect(await types(sender, room)).toEqual(["m.room.encrypted", "m.room.encrypted"]);
  });

  it("holds from the start, for rooms that only the homeserver knows", async () => {
    const { sender, room } = await talk();
    const plain = await sender.createRoom({});
    const without = SendingClient.withoutStore(sender.login);
    open.push(without);
    await expect(sendText(without, room, "hello")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    await sendText(without, plain, "hello");
    expect(await types(sender, room)).toEqual([]);
    expect(await types(sender, plain)).toEqual(["m.room.message"]);
  });

  it("what was encrypted before still goes out, once", async () => {
    const { sender, alice, room } = await talk();
    fault(homeserver, { route: SEND }, 1, async () => {
      sender.goAway();
      return "hang up";
    });
    const { eventId } = await sendText(sender, room, "hello");
    const { count } = fault(homeserver, { route: SEND }, 0, hangUp);
    await sender.comeBack();
    await sender.outbox.resume();
    await sendText(sender, room, "and on");
    expect(count()).toBe(1);
    expect((await sender.timeline(room))[0]?.event_id).toBe(eventId);
    expect(await bodiesSeenBy(alice)).toEqual(["hello", "and on"]);
  });
});

describe("a message that waits while its room becomes encrypted", () => {
  it("goes out encrypted", async () => {
    const [sender, alice] = [await bot(), await party(homeserver, "alice")];
    const room = await sender.createRoom({ invite: [alice.userId] });
    await alice.join(room);
    await sender.sync();
    fault(homeserver, { route: SEND }, 1, async () => {
      await sender.setState(room, "m.room.encryption", MEGOLM);
      await sender.sync();
      return "hang up";
    });
    await sendText(sender, room, "hello");
    expect(await types(sender, room)).toEqual(["m.room.encrypted"]);
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
  });
});
