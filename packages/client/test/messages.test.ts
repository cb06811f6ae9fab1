import { randomBytes } from "node:crypto";
import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import type { Party } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../src/http/homeserver-api.ts";
import { type CreateRoomOptions, RoomActions } from "../src/rooms/room-actions.ts";
import { htmlContent, textContent } from "../src/send/content.ts";
import { Messages } from "../src/send/messages.ts";
import { fault, hangUp, MEGOLM, party } from "./support/dev-rooms.ts";
import { register, SendingClient } from "./support/sending-client.ts";

let homeserver: DevHomeserver;
let sender: SendingClient;
let messages: Messages;
let actions: RoomActions;

beforeEach(async () => {
  homeserver = await startDevHomeserver();
  sender = await SendingClient.open(await register(homeserver.url, "bot"));
  const { api, rooms, outbox } = sender;
  messages = new Messages({ api, rooms, outbox, encryption: () => sender.encryption });
  actions = new RoomActions({ api, rooms });
});

afterEach(async () => {
  await sender.close();
  await homeserver.close();
});

async function room(encryption: JsonObject | null = MEGOLM): Promise<{ id: string; alice: Party }> {
  const alice = await party(homeserver, "alice");
  const id = await sender.createRoom({ ...(encryption && { encryption }), invite: [alice.userId] });
  await alice.join(id);
  await sender.sync();
  return { id, alice };
}

/** The content of all messages, as somebody reads them. */
async function read(reader: Party): Promise<JsonObject[]> {
  const { received } = await reader.sync();
  const isMessage = (event: (typeof received)[number]): boolean =>
    event.kind !== "undecryptable" && (event.type === "m.room.message" || event.type === "m.reaction");
  return received.filter(isMessage).map((event) => (event as { content: JsonObject }).content);
}

describe("messages", () => {
  it("are texts, notices, HTML, reactions, edits, replies and threads, as the specification has them", async () => {
    const { id, alice } = await room();
    const { eventId } = await messages.sendText(id, "one");
    await messages.sendNotice(id, "two");
    await messages.sendEmote(id, "waves");
    await messages.sendHtml(id, "<b>three</b>", "three");
    await messages.react(id, eventId, "\u{1F44D}");
    await messages.edit(id, eventId, htmlContent("<i>1</i>", "1"));
    await messages.reply(id, { eventId, sender: alice.userId }, textContent("so what"));
    await messages.sendInThread(id, eventId, textContent("in a thread"));
    await messages.sendInThread(id, eventId, textContent("a reply there"), { replyTo: { eventId: "$other" } });
    const html = { format: "org.matrix.custom.html" };
    expect(await read(alice)).toEqual([
      { msgtype: "m.text", body: "one" },
      { msgtype: "m.notice", body: "two" },
      { msgtype: "m.emote", body: "waves" },
      { msgtype: "m.text", body: "three", ...html, formatted_body: "<b>three</b>" },
      { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "\u{1F44D}" } },
      {
        msgtype: "m.text",
        body: "* 1",
        ...html,
        formatted_body: "* <i>1</i>",
        "m.new_content": { msgtype: "m.text", body: "1", ...html, formatted_body: "<i>1</i>" },
        "m.relates_to": { rel_type: "m.replace", event_id: eventId },
      },
      {
        msgtype: "m.text",
        body: "so what",
        "m.mentions": { user_ids: [alice.userId] },
        "m.relates_to": { "m.in_reply_to": { event_id: eventId } },
      },
      {
        msgtype: "m.text",
        body: "in a thread",
        "m.relates_to": {
          rel_type: "m.thread",
          event_id: eventId,
          is_falling_back: true,
          "m.in_reply_to": { event_id: eventId },
        },
      },
      {
        msgtype: "m.text",
        body: "a reply there",
        "m.relates_to": {
          rel_type: "m.thread",
          event_id: eventId,
          is_falling_back: false,
          "m.in_reply_to": { event_id: "$other" },
        },
      },
    ]);
  });

  it("are redacted", async () => {
    const { id } = await room();
    const { eventId } = await messages.sendText(id, "one");
    await messages.redact(id, eventId, "a mistake");
    expect((await sender.timeline(id))[0]).toMatchObject({ event_id: eventId, content: {} });
  });
});

describe("a file", () => {
  it("of 20 MiB goes to an encrypted room and comes back, unreadable for the homeserver, with no name and no type", async () => {
    const { id, alice } = await room();
    const bytes = randomBytes(20 * 1024 * 1024);
    const uploads: { type: string; name: string | null; bytes: Uint8Array }[] = [];
    homeserver.use(async (call, next) => {
      const { content, query } = call;
      if (call.route.endsWith("/media/v3/upload")) uploads.push({ ...content, name: query.get("filename") });
      return next();
    });
    await messages.sendFile(id, { bytes, name: "cat.png", contentType: "image/png", info: { w: 3, h: 4 } });
    const [content] = await read(alice);
    expect(content).toMatchObject({ msgtype: "m.image", body: "cat.png", filename: "cat.png" });
    expect(content?.info).toEqual({ w: 3, h: 4, mimetype: "image/png", size: bytes.byteLength });
    expect(content?.url).toBeUndefined();
    expect(uploads.map(({ type, name }) => [type, name])).toEqual([["application/octet-stream", null]]);
    expect(bytes.equals(uploads[0]?.bytes ?? bytes)).toBe(false);
    expect(bytes.equals(await messages.downloadFile(content ?? {}))).toBe(true);
  });

  it("is refused where it is not what its sender has encrypted", async () => {
    const { id, alice } = await room();
    await messages.sendFile(id, { bytes: Buffer.from("a file"), name: "a.txt" });
    const [content = {}] = await read(alice);
    const file = content.file as JsonObject;
    const other = await sender.api.upload(Buffer.from("b file"));
    const malformed = { code: "MALFORMED", retryable: false };
    const forged = messages.downloadFile({ ...content, file: { ...file, url: other } });
    await expect(forged).rejects.toMatchObject(malformed);
    await expect(messages.downloadFile({ ...content, file: { url: other } })).rejects.toMatchObject(malformed);
    await expect(messages.downloadFile({ ...content, file: "x" })).rejects.toMatchObject(malformed);
    await expect(messages.downloadFile({ msgtype: "m.text", body: "none" })).rejects.toMatchObject(malformed);
  });

  it("goes to a plain room as it is", async () => {
    const { id, alice } = await room(null);
    const bytes = Buffer.from("a file");
    await messages.sendFile(id, { bytes, name: "a.txt", contentType: "text/plain", caption: "look" });
    const [content = {}] = await read(alice);
    expect(content).toMatchObject({ msgtype: "m.file", body: "look", filename: "a.txt" });
    expect(content).not.toHaveProperty("file");
    expect(Buffer.from(await messages.downloadFile(content)).toString()).toBe("a file");
  });

  it("is not uploaded to an encrypted room while encryption is away, nor again for a send that was made", async () => {
    const { id } = await room();
    const file = { bytes: Buffer.from("a file"), name: "a.txt" };
    const options = { transactionId: "t1", owner: "entry 1" };
    const uploads = fault(homeserver, { route: "/media/v3/upload" }, 0, hangUp);
    const sent = await messages.sendFile(id, file, options);
    expect(await messages.sendFile(id, file, options)).toEqual(sent);
    expect(uploads.count()).toBe(1);
    sender.goAway();
    await expect(messages.sendFile(id, file)).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    expect(uploads.count()).toBe(1);
    await sender.comeBack();
  });
});

describe("rooms", () => {
  it("are not made encrypted where anybody may join, or where that is said, and as is said otherwise", async () => {
    const own = { type: "m.room.encryption", state_key: "", content: { ...MEGOLM, rotation_period_msgs: 7 } };
    const periodOf = async (options: CreateRoomOptions) => {
      const state = await sender.stateEvents(await actions.createRoom(options));
      return state
        .filter(({ type }) => type === "m.room.encryption")
        .map(({ content }) => content.rotation_period_msgs);
    };
    expect(await periodOf({})).toEqual([undefined]);
    expect(await periodOf({ public: true })).toEqual([]);
    expect(await periodOf({ public: true, encrypted: true })).toEqual([undefined]);
    expect(await periodOf({ encrypted: false })).toEqual([]);
    expect(await periodOf({ initialState: [own] })).toEqual([7]);
  });

  it("are made encrypted, joined, left, and others invited to them", async () => {
    const alice = await party(homeserver, "alice");
    const id = await actions.createRoom({ name: "ours", invite: [alice.userId] });
    await alice.join(id);
    await messages.sendText(id, "before any sync");
    expect(await read(alice)).toEqual([{ msgtype: "m.text", body: "before any sync" }]);
    const bob = await party(homeserver, "bob");
    await actions.invite(id, bob.userId, { reason: "welcome" });
    await messages.sendText(id, "to bob");
    await bob.join(id);
    expect(await read(bob)).toEqual([{ msgtype: "m.text", body: "to bob" }]);
    await actions.leave(id);
    await expect(messages.sendText(id, "gone")).rejects.toMatchObject({ code: "REQUEST_REFUSED" });
    const theirs = String((await alice.client.call("POST", "/createRoom", { preset: "public_chat" })).room_id);
    expect(await actions.join(theirs, { via: ["localhost", "example.org"] })).toBe(theirs);
    await expect(actions.join("!none:localhost")).rejects.toMatchObject({ code: "REQUEST_REFUSED" });
  });
});
