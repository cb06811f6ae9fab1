import type { DevHomeserver } from "@holdfast/dev-homeserver";
import { DeviceId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../src/http/homeserver-api.ts";
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
import type { SendingClient } from "./support/sending-client.ts";
import { type Stage, sendText, text, types, useStage } from "./support/stage.ts";

let stage: Stage;
let homeserver: DevHomeserver;

useStage((made) => {
  stage = made;
  homeserver = stage.homeserver;
});

afterEach(() => {
  vi.useRealTimers();
});

const sessions = async (client: SendingClient, room: string) =>
  new Set((await client.timeline(room)).map(({ content }) => content.session_id)).size;

describe("a message to an encrypted room", () => {
  it("is read by those who are in it, and is ciphertext on the homeserver", async () => {
    const { sender, alice, room } = await stage.talk();
    const { eventId } = await sendText(sender, room, "hello");
    const [event] = await sender.timeline(room);
    expect(event).toMatchObject({ event_id: eventId, type: "m.room.encrypted" });
    const shown = ["algorithm", "ciphertext", "device_id", "sender_key", "session_id"];
    expect(Object.keys(event?.content ?? {}).sort()).toEqual(shown);
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
  });

  it("shows what it relates to, and nothing else", async () => {
    const { sender, alice, room } = await stage.talk();
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
    const { sender, alice, room } = await stage.talk();
    await sendText(sender, room, "before");
    const second = await anotherDevice(alice);
    await sender.sync();
    await sendText(sender, room, "after");
    expect(await bodiesSeenBy(second)).toEqual(["undecryptable", "after"]);
    expect(await bodiesSeenBy(alice)).toEqual(["before", "after"]);
  });

  it("can be read by a member who has joined since the message before, who cannot read that one", async () => {
    const { sender, room } = await stage.talk();
    await sendText(sender, room, "before");
    const bob = await party(homeserver, "bob");
    await new RoomActions(sender).invite(room, bob.userId);
    await bob.join(room);
    await sendText(sender, room, "after");
    expect(await bodiesSeenBy(bob)).toEqual(["undecryptable", "after"]);
  });

  it("has another key once somebody has left", async () => {
    const { sender, alice, room } = await stage.talk();
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
    const { sender, alice, room } = await stage.talk({ ...MEGOLM, rotation_period_msgs: 2 });
    for (const body of ["1", "2", "3", "4", "5"]) await sendText(sender, room, body);
    expect(await sessions(sender, room)).toBe(3);
    expect(await bodiesSeenBy(alice)).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("has its key shared ahead where the room was prepared", async () => {
    const { sender, alice, room } = await stage.talk();
    await sender.encryptor.prepare(room);
    expect(homeserver.toDeviceWaiting(alice.userId, alice.client.credentials.deviceId)).toBe(1);
    expect(await types(sender, room)).toEqual([]);
    const { count } = fault(homeserver, { route: "/sendToDevice/{eventType}/{txnId}" }, 0, hangUp);
    await sendText(sender, room, "fast");
    expect(count()).toBe(0);
    expect(await bodiesSeenBy(alice)).toEqual(["fast"]);
  });

  it("goes out although one-time keys, room keys and the message itself get lost on the way", async () => {
    const { sender, alice, room } = await stage.talk();
    const routes = ["/keys/query", "/keys/claim", "/sendToDevice/{eventType}/{txnId}", "/members", SEND];
    for (const route of routes) {
      fault(homeserver, { route, user: sender.login.userId }, 1, lostAnswer);
      fault(homeserver, { route, user: sender.login.userId }, 1, refuse(502, "M_UNKNOWN"));
    }
    await sendText(sender, room, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    expect(await types(sender, room)).toEqual(["m.room.encrypted"]);
  });

  it("waits for no more than one try of a request of the engine that keeps failing, where it is for no device list", async () => {
    const { sender, alice, room } = await stage.talk();
    const upload = { route: "/keys/upload", user: sender.login.userId };
    const { count } = fault(homeserver, upload, Number.POSITIVE_INFINITY, refuse(500, "M_UNKNOWN"));
    const few = (response: JsonObject) => ({ ...response, device_one_time_keys_count: { signed_curve25519: 1 } });
    await expect(sender.sync(few)).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    expect(count()).toBe(1);
    await sendText(sender, room, "one");
    await sendText(sender, room, "two");
    expect(count()).toBe(2);
    expect(await bodiesSeenBy(alice)).toEqual(["one", "two"]);
    const bob = await party(homeserver, "bob");
    await sender.api.request("POST", path`/v3/rooms/${room}/invite`, { body: { user_id: bob.userId } });
    await bob.join(room);
    await expect(sender.sync()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    await sendText(sender, room, "three");
    // What was sent before they came is not for them.
    expect(await bodiesSeenBy(bob)).toEqual(["undecryptable", "undecryptable", "three"]);
  });

  it("goes out, and asks once, where a device has no one-time key left", async () => {
    const { sender, alice, room } = await stage.talk();
    const noKeys = async () => ({ status: 200, body: { one_time_keys: {}, failures: {} } });
    const { count } = fault(homeserver, { route: "/keys/claim" }, 9, noKeys);
    await sendText(sender, room, "hello");
    expect(count()).toBe(1);
    expect(await bodiesSeenBy(alice)).toEqual(["undecryptable"]);
  });

  it("is read although the session with a device had broken, which the next sync mends", async () => {
    const { sender, alice, room } = await stage.talk();
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
    const sender = await stage.bot({ shareKeysWith: "signed-devices" });
    const room = await sender.createRoom({ encryption: MEGOLM });
    await sender.sync();
    await expect(sendText(sender, room, "hello")).rejects.toMatchObject({ code: "NOT_SET_UP" });
    expect(await types(sender, room)).toEqual([]);
  });
});

describe("what is not encrypted", () => {
  it("is a message to a plain room", async () => {
    const sender = await stage.bot();
    const room = await sender.createRoom({});
    await sender.sync();
    await sendText(sender, room, "hello");
    expect(await sender.timeline(room)).toMatchObject([{ type: "m.room.message", content: text("hello") }]);
  });

  it("is a reaction, and a redaction", async () => {
    const { sender, room } = await stage.talk();
    const { eventId } = await sendText(sender, room, "hello");
    const relation = { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "+1" } };
    await sender.outbox.send(room, "m.reaction", relation);
    await sender.outbox.redact(room, eventId, "a mistake");
    const [, reaction, redaction] = await sender.timeline(room);
    expect(reaction).toMatchObject({ type: "m.reaction", content: relation });
    expect(redaction).toMatchObject({ type: "m.room.redaction", content: { reason: "a mistake" } });
  });

  it("is never what claims to be encrypted already", async () => {
    const { sender, room } = await stage.talk();
    await expect(sender.outbox.send(room, "m.room.encrypted", text("hello"))).rejects.toMatchObject({ code: "CONFIG" });
    expect(await types(sender, room)).toEqual([]);
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
    const sender = await stage.bot();
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
    const sender = await stage.bot();
    for (const encryption of [{ algorithm: "m.megolm.v9" }, { algorithm: 7 }, {}]) {
      const room = await sender.createRoom({ encryption });
      await sender.sync();
      await expect(sendText(sender, room, "hello")).rejects.toMatchObject({ code: "ROOM_ENCRYPTION_UNKNOWN" });
      expect(await types(sender, room)).toEqual([]);
    }
  });
});
