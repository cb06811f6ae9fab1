import type { DevHomeserver } from "@holdfast/dev-homeserver";
import { describe, expect, it, vi } from "vitest";
import { OutboxRecords } from "../src/send/outbox-record.ts";
import { bodiesSeenBy, fault, hangUp, lostAnswer, MEGOLM, party, refuse, SEND } from "./support/dev-rooms.ts";
import { SendingClient } from "./support/sending-client.ts";
import { type Stage, sendText, types, useStage } from "./support/stage.ts";

let stage: Stage;
let homeserver: DevHomeserver;

useStage((made) => {
  stage = made;
  homeserver = stage.homeserver;
});

describe("sending", () => {
  it("makes one event although the homeserver's answer is lost", async () => {
    const { sender, alice, room } = await stage.talk();
    const { count } = fault(homeserver, { route: SEND }, 2, lostAnswer);
    const { eventId } = await sendText(sender, room, "hello");
    expect(count()).toBe(3);
    expect((await sender.timeline(room)).map((event) => event.event_id)).toEqual([eventId]);
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
  });

  it("makes one event of two sends under one transaction id", async () => {
    const { sender, room } = await stage.talk();
    const options = { transactionId: "t1" };
    const [one, two] = await Promise.all([sendText(sender, room, "a", options), sendText(sender, room, "a", options)]);
    const three = await sendText(sender, room, "a", options);
    expect([two, three]).toEqual([one, one]);
    expect(await types(sender, room)).toEqual(["m.room.encrypted"]);
  });

  it("keeps the order of a room, whatever gets lost, and does not hold other rooms up", async () => {
    const { sender, alice, room } = await stage.talk();
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
    const { sender, alice, room } = await stage.talk();
    fault(homeserver, { route: SEND }, 1, refuse(403, "M_FORBIDDEN"));
    const error = await sendText(sender, room, "no").catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "REQUEST_REFUSED", retryable: false, cause: { errcode: "M_FORBIDDEN" } });
    await sendText(sender, room, "yes");
    await sender.close();
    await (await stage.reopen(sender)).outbox.resume();
    expect(await bodiesSeenBy(alice)).toEqual(["yes"]);
  });

  it("waits as the homeserver asks where it is asked too often", async () => {
    const { sender, room } = await stage.talk();
    const { count } = fault(homeserver, { route: SEND }, 2, refuse(429, "M_LIMIT_EXCEEDED", { retry_after_ms: 1 }));
    await sendText(sender, room, "hello");
    expect(count()).toBe(3);
  });

  it("keeps an event for the next session where this one has ended", async () => {
    const { sender, alice, room } = await stage.talk();
    fault(homeserver, { route: SEND }, 1, refuse(401, "M_UNKNOWN_TOKEN"));
    const error = await sendText(sender, room, "hello").catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "LOGIN_REFUSED", cause: { errcode: "M_UNKNOWN_TOKEN" } });
    expect(error.message).toMatch(/this event stays in the outbox, and is sent when the client is opened again$/);
    await sender.close();
    const next = await stage.reopen(sender);
    await next.outbox.resume();
    await sendText(next, room, "and on");
    expect(await bodiesSeenBy(alice)).toEqual(["hello", "and on"]);
  });

  it.each([
    "/state/{eventType}/{stateKey?}",
    "/members",
    "/keys/query",
    "/keys/claim",
    "/sendToDevice/{eventType}/{txnId}",
  ])(
    "says that the session has ended, and the event is not sent later, where it ends before that is written down: %s",
    async (route) => {
      const { sender, alice, room } = await stage.untold();
      const user = sender.login.userId;
      const { count, end } = fault(homeserver, { route, user }, 99, refuse(401, "M_UNKNOWN_TOKEN"));
      const error = await sendText(sender, room, "hello").catch((thrown) => thrown);
      expect(count()).toBeGreaterThan(0);
      expect(error).toMatchObject({ code: "LOGIN_REFUSED", cause: { errcode: "M_UNKNOWN_TOKEN" } });
      expect(error.message).toMatch(/this event was not written down, and is not sent later$/);
      await expect(sender.encryptor.prepare(room)).rejects.toMatchObject({ code: "LOGIN_REFUSED" });
      end();
      await sender.close();
      const next = await stage.reopen(sender);
      await next.outbox.resume();
      await sendText(next, room, "and on");
      expect(await bodiesSeenBy(alice)).toEqual(["and on"]);
    },
  );

  it("is given up when the signal aborts, and the event with it", async () => {
    const { sender, alice, room } = await stage.talk();
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
    const { sender, room } = await stage.talk();
    const asked = Promise.withResolvers<void>();
    fault(homeserver, { route: "/keys/claim" }, 1, (call) => {
      asked.resolve();
      return new Promise((resolve) => call.signal.addEventListener("abort", () => resolve("hang up")));
    });
    const sending = [sendText(sender, room, "one"), sendText(sender, room, "two")];
    const outcomes = Promise.allSettled(sending);
    await asked.promise;
    await sender.outbox.close();
    const message = "the client was closed: this event was not written down, and is not sent later";
    const closed = { status: "rejected", reason: expect.objectContaining({ code: "CLOSED", message }) };
    expect(await outcomes).toEqual([closed, closed]);
    await expect(sendText(sender, room, "three")).rejects.toMatchObject({ code: "CLOSED", message });
  });

  it.each(["encrypted", "plain"])("tells whose %s event is in the outbox when the client closes", async (kind) => {
    const { sender, room } = await stage.talk();
    const roomId = kind === "plain" ? await sender.createRoom({}) : room;
    const asked = Promise.withResolvers<void>();
    fault(homeserver, { route: SEND }, 1, (call) => {
      asked.resolve();
      return new Promise((resolve) => call.signal.addEventListener("abort", () => resolve("hang up")));
    });
    const outcome = sendText(sender, roomId, "one").catch((thrown) => thrown);
    await asked.promise;
    await sender.close();
    const message =
      "the client was closed: this event stays in the outbox, and is sent when the client is opened again";
    expect(await outcome).toMatchObject({ code: "CLOSED", message });
    const next = await stage.reopen(sender);
    await next.outbox.resume();
    await sendText(next, roomId, "two");
    expect(await types(next, roomId)).toHaveLength(2);
  });

  it("tells whose event is in memory only when the client closes", async () => {
    const sender = await stage.bot();
    const room = await sender.createRoom({});
    sender.goAway();
    const { count } = fault(homeserver, { route: SEND }, 1, () => new Promise(() => {}));
    const outcome = sendText(sender, room, "one").catch((thrown) => thrown);
    await expect.poll(count).toBe(1);
    await sender.outbox.close();
    const message = "the client was closed: this event was not written down, and is not sent later";
    expect(await outcome).toMatchObject({ code: "CLOSED", message });
  });

  it("is refused, and says why, where what is in the outbox cannot be read", async () => {
    const { sender, room } = await stage.talk();
    const { encryption } = sender;
    const change = encryption?.collection<string>("outbox").put(Buffer.alloc(8), "damaged");
    await encryption?.commit(change === undefined ? [] : [change]);
    const error = await sendText(sender, room, "hello").catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "ENCRYPTION_UNAVAILABLE", cause: { code: "ERR_KEY_STORE_CORRUPT" } });
    await expect(sender.outbox.resume()).rejects.toMatchObject({ code: "ERR_KEY_STORE_CORRUPT" });
    expect(await types(sender, room)).toEqual([]);
  });

  it("answers an owner's send that it made before, without another, until the owner is forgotten", async () => {
    const { sender, room } = await stage.talk();
    const options = { transactionId: "t1", owner: "entry 1" };
    const first = await sendText(sender, room, "hello", options);
    await sender.close();
    const next = await stage.reopen(sender);
    const { count } = fault(homeserver, { route: SEND }, 0, hangUp);
    expect(await sendText(next, room, "hello", options)).toEqual(first);
    expect(await next.outbox.find(room, options)).toEqual(first);
    expect(await next.outbox.find(room, { ...options, owner: "entry 2" })).toBeUndefined();
    expect(count()).toBe(0);
    const { encryption } = next;
    if (encryption === undefined) throw new Error("the store is away");
    await encryption.commit(next.outbox.forgetOwner("entry 1", encryption));
    expect(await next.outbox.find(room, options)).toBeUndefined();
  });
});

describe("while the store is away", () => {
  it("an encrypted room is sent nothing, by what reaches the homeserver, and a plain one is", async () => {
    const { sender, room } = await stage.talk();
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
    const { sender, room } = await stage.talk();
    const plain = await sender.createRoom({});
    const without = stage.add(SendingClient.withoutStore(sender.login));
    await expect(sendText(without, room, "hello")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    await sendText(without, plain, "hello");
    expect(await types(sender, room)).toEqual([]);
    expect(await types(sender, plain)).toEqual(["m.room.message"]);
  });

  it("a message that waits is written down where it is encrypted, and over no other", async () => {
    const { sender, room } = await stage.talk();
    const plain = await sender.createRoom({});
    await sender.sync();
    const [members, sends] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const held = fault(homeserver, { route: "/rooms/{roomId}/members" }, 1, async (_, next) => {
      await members.promise;
      return next();
    });
    const requests = fault(homeserver, { route: SEND }, 2, async (_, next) => {
      await sends.promise;
      return next();
    });
    const prepared = sender.encryptor.prepare(room).catch((error) => error);
    await expect.poll(held.count).toBe(1);
    const encrypting = vi.spyOn(sender.encryptor, "encrypt");
    const sending = [sendText(sender, room, "hello")];
    await expect.poll(() => encrypting.mock.calls.length).toBe(1);
    sender.goAway();
    await sender.comeBack();
    sending.push(sendText(sender, plain, "elsewhere"));
    await expect.poll(requests.count).toBe(1);
    members.resolve();
    expect(await prepared).toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    await expect.poll(requests.count).toBe(2);
    const inStore = async () => {
      if (sender.encryption === undefined) throw new Error("the store is away");
      return (await new OutboxRecords(sender.encryption).load()).map(({ event }) => event.type);
    };
    expect(await inStore()).toEqual(["m.room.message", "m.room.encrypted"]);
    sends.resolve();
    await Promise.all(sending);
    expect(await inStore()).toEqual([]);
  });

  it("what was encrypted before still goes out, once", async () => {
    const { sender, alice, room } = await stage.talk();
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
    const [sender, alice] = [await stage.bot(), await party(homeserver, "alice")];
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
