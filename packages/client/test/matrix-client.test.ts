import { join } from "node:path";
import { holdRequest, rateLimit } from "@holdfast/dev-homeserver/faults";
import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type InviteEvent, type KnockEvent, type MatrixClientOptions, openOlmMachine } from "../src/index.ts";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

function say(user: HomeserverClient, roomId: string, body: string): Promise<unknown> {
  const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${encodeURIComponent(body)}`;
  return user.call("PUT", path, { msgtype: "m.text", body });
}

describe("a client", () => {
  it("reads what was sent while it was away, once, with the identity that it had", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = await world.connected(bob);
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "one");
    await reader.until(() => reader.messages.length === 1);
    const identity = reader.client.identity;
    await reader.client.close();

    await sender.say(roomId, "two");
    await sender.say(roomId, "three");
    const again = await world.connected(bob);
    await again.until(() => again.messages.length === 2);

    expect(reader.bodies).toEqual(["one"]);
    expect(again.bodies).toEqual(["two", "three"]);
    expect(again.messages.map(({ encrypted }) => encrypted)).toEqual([true, true]);
    expect(again.client.identity).toEqual(identity);
    expect(identity?.ed25519).toMatch(/^[A-Za-z0-9+/]{43}$/);
  });

  it("tells who sends that encryption has ended when another process takes the device in the middle of it", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const first = await world.connected(alice);
    await world.connected(bob);
    const roomId = await world.room([alice, bob]);
    const path = "/sendToDevice/{eventType}/{txnId}";
    const held = world.homeserver.faults.next({ path, userId: alice.credentials.userId }, holdRequest());
    const sending = first.say(roomId, "hello").catch((error: unknown) => error);
    await held.fired();
    await world.connected(alice, { lease: "take-over" });
    await bob.call("PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, {
      msgtype: "m.text",
      body: "hi",
    });
    expect(await sending).toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    expect(first.client.mode).toBe("off");
    held.remove();
  });

  it("starts again without waiting for news", async () => {
    const alice = await world.user("alice");
    await (await world.connected(alice)).client.close();
    await world.connected(alice);
    // The first process has waited for news whenever it had a token; its last request may have come in late.
    const { journal } = world.homeserver;
    const atOnce = journal.entries({ path: "/sync", where: ({ query }) => query.get("timeout") === "0" });
    expect(atOnce.map(({ call }) => call.query.has("since"))).toEqual([false, true]);
  });

  it("does not deliver what rooms held before its very first sync", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const sender = await world.connected(alice);
    await sender.say(roomId, "history");
    const reader = await world.connected(bob);
    await sender.say(roomId, "news");
    await reader.until(() => reader.messages.length === 1);
    expect(reader.bodies).toEqual(["news"]);
  });

  it("fetches what a sync left out of a timeline", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const options = { timelineLimit: 2 };
    const reader = await world.connected(bob, options);
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "before");
    await reader.until(() => reader.messages.length === 1);
    await reader.client.close();
    const bodies = Array.from({ length: 12 }, (_, n) => `message ${n}`);
    for (const body of bodies) await sender.say(roomId, body);
    const again = await world.connected(bob, options);
    await again.until(() => again.messages.length === bodies.length);
    expect(again.bodies).toEqual(bodies);
  });

  it("is not held up by a room whose missing events the homeserver does not give, and delivers them later", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const options = { timelineLimit: 2 };
    const reader = await world.connected(bob, options);
    const [broken, fine] = [await world.room([alice, bob], false), await world.room([alice, bob], false)];
    await say(alice, broken, "before");
    await reader.until(() => reader.messages.length === 1);
    await reader.client.close();
    for (let n = 0; n < 6; n += 1) await say(alice, broken, `message ${n}`);
    await say(alice, fine, "fine");
    const mend = world.use(async (call, next) =>
      call.route.endsWith("/messages")
        ? { status: 429, body: { errcode: "M_LIMIT_EXCEEDED", error: "later", retry_after_ms: 90_000 } }
        : next(),
    );
    const second = await world.connected(bob, options);
    await second.until(() => second.messages.length === 3);
    expect([...second.bodies].sort()).toEqual(["fine", "message 4", "message 5"]);
    await second.client.close();

    mend();
    const third = await world.connected(bob, options);
    await third.until(() => third.messages.length === 4);
    expect(third.bodies).toEqual(["message 0", "message 1", "message 2", "message 3"]);
  });

  it("reads what came before it was put out of a room and let in again", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const first = await world.connected(bob);
    const roomId = await world.room([alice, bob], false);
    await say(alice, roomId, "zero");
    await first.until(() => first.messages.length === 1);
    await first.client.close();
    await say(alice, roomId, "one");
    const room = `/rooms/${encodeURIComponent(roomId)}`;
    await alice.call("POST", `${room}/kick`, { user_id: bob.credentials.userId });
    await alice.call("POST", `${room}/invite`, { user_id: bob.credentials.userId });
    await bob.call("POST", `/join/${encodeURIComponent(roomId)}`, {});
    await say(alice, roomId, "two");
    const again = await world.connected(bob);
    await again.until(() => again.bodies.includes("two"));
    expect(again.bodies).toEqual(["one", "two"]);
  });

  it("reads all that came before it was put out of a room", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const first = await world.connected(bob, { timelineLimit: 3 });
    const roomId = await world.room([alice, bob], false);
    await say(alice, roomId, "zero");
    await first.until(() => first.messages.length === 1);
    await first.client.close();
    for (let n = 1; n < 8; n += 1) await say(alice, roomId, `message ${n}`);
    await alice.call("POST", `/rooms/${encodeURIComponent(roomId)}/kick`, { user_id: bob.credentials.userId });
    const again = await world.connected(bob, { timelineLimit: 3 });
    await again.until(() => again.messages.length === 7);
    expect(again.bodies).toEqual(Array.from({ length: 7 }, (_, n) => `message ${n + 1}`));
  });

  it("gives up pages of missed events that never have any", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const first = await world.connected(bob, { timelineLimit: 2 });
    const [endless, fine] = [await world.room([alice, bob], false), await world.room([alice, bob], false)];
    // It has come into both rooms.
    await say(alice, fine, "before");
    await first.until(() => first.messages.length === 1);
    await first.client.close();
    for (let n = 1; n < 5; n += 1) await say(alice, endless, `message ${n}`);
    await say(alice, fine, "fine");
    let pages = 0;
    world.use(async (call, next) => {
      if (!call.route.endsWith("/messages")) return next();
      pages += 1;
      return { status: 200, body: { start: "x", chunk: [], end: `page-${pages}` } };
    });
    const again = await world.connected(bob, { timelineLimit: 2 });
    await again.until(() => again.messages.length === 3);
    expect([...again.bodies].sort()).toEqual(["fine", "message 3", "message 4"]);
    expect(pages).toBe(10);
  });

  it("does not ask for news before the homeserver wants to be asked again", async () => {
    const bob = await world.user("bob");
    const reader = await world.connected(bob);
    const limited = world.homeserver.faults.always(
      { path: "/sync", userId: bob.credentials.userId },
      rateLimit(300_000),
    );
    await world.room([bob], false);
    await limited.fired();
    await expect
      .poll(() => reader.log.find((line) => line.includes("could not be synced with")))
      .toMatch(/trying again in 300000 ms/);
  });

  it("says so where the homeserver has logged it out: its mode, an error, the end of its loops", async () => {
    const bob = await world.user("bob");
    const reader = world.client(bob);
    const loop = (async () => {
      for await (const message of reader.client.incoming()) throw new Error(`nobody has sent ${message.eventId}`);
    })();
    await reader.client.connect();
    await bob.call("POST", "/logout", {});
    await loop;
    expect(reader.client).toMatchObject({ mode: "off", keyStoreAvailable: false });
    expect(reader.client.status.reason).toMatch(/does not take the access token any more/);
    expect(reader.errors).toMatchObject([{ doing: "syncing", error: { code: "LOGIN_REFUSED" } }]);
  });

  it("rejects, and does not throw, what is asked of it before it is connected", async () => {
    const { client } = world.client(await world.user("bob"));
    const asked = [client.sendText("!a:localhost", "x"), client.join("!a:localhost"), client.createRoom()];
    for (const each of asked) await expect(each).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("is told of an invitation, and by whom", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const invited = Promise.withResolvers<{ roomId: string; inviter: string | undefined }>();
    const reader = world.client(bob);
    reader.client.on("invite", invited.resolve);
    await reader.client.connect();
    const { room_id: roomId } = await alice.call("POST", "/createRoom", { invite: [bob.credentials.userId] });
    expect(await invited.promise).toMatchObject({ roomId, inviter: alice.credentials.userId });
  });

  it("is told of a knock of its own, which nobody invited it to", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const told = Promise.withResolvers<KnockEvent>();
    const invitations: InviteEvent[] = [];
    const reader = world.client(bob);
    reader.client.on("knock", told.resolve);
    reader.client.on("invite", (invitation) => invitations.push(invitation));
    await reader.client.connect();
    const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
    const { room_id: roomId } = await alice.call("POST", "/createRoom", { initial_state: [rules] });
    await bob.call("POST", `/knock/${encodeURIComponent(String(roomId))}`, {});
    expect(await told.promise).toMatchObject({ roomId });
    expect(invitations).toEqual([]);
  });
});

describe("handlers", () => {
  it("are called again by the next process where they had not ended", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = world.client(bob);
    reader.client.on("message", () => new Promise(() => {}));
    await world.connect(reader);
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "do this");
    await reader.until(() => reader.messages.length === 1);
    await reader.client.close();

    const again = await world.connected(bob);
    await again.until(() => again.messages.length === 1);
    expect(again.messages[0]?.eventId).toBe(reader.messages[0]?.eventId);
    await again.client.close();
    const third = await world.connected(bob);
    await sender.say(roomId, "and that");
    await third.until(() => third.messages.length === 1);
    expect(third.bodies).toEqual(["and that"]);
  });

  it("that fail are called again, while others go on, and their event is set aside in the end", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = world.client(bob, { handlerAttempts: 2 });
    let calls = 0;
    let fails = true;
    reader.client.on("message", async ({ content }) => {
      if (content.body !== "bad") return;
      calls += 1;
      // The second call ends when what came later was read: it would never end if that waited for it.
      if (calls === 2) await reader.until(() => reader.bodies.includes("good"));
      if (fails) throw new Error("cannot");
    });
    await world.connect(reader);
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "bad");
    await sender.say(roomId, "good");
    await reader.until(() => reader.errors.length === 1);
    expect(calls).toBe(2);
    expect(reader.errors[0]?.event?.content.body).toBe("bad");
    expect(String(reader.errors[0]?.error)).toBe("Error: cannot");

    fails = false;
    expect(await reader.client.retrySetAside()).toBe(1);
    await reader.until(() => calls === 3);
    expect(await reader.client.retrySetAside()).toBe(0);
  });

  it("of one room run in order, and those of others do not wait for them", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = world.client(bob);
    const [slow, quick] = [await world.room([alice, bob], false), await world.room([alice, bob], false)];
    const gate = Promise.withResolvers<void>();
    const done: string[] = [];
    const all = Promise.withResolvers<void>();
    reader.client.on("message", async ({ roomId, content }) => {
      if (roomId === slow) await gate.promise;
      done.push(String(content.body));
      if (content.body === "quick") gate.resolve();
      if (done.length === 3) all.resolve();
    });
    await reader.client.connect();
    await sender.say(slow, "slow 1");
    await sender.say(slow, "slow 2");
    await sender.say(quick, "quick");
    await all.promise;
    expect(done).toEqual(["quick", "slow 1", "slow 2"]);
  });

  it("of a room with much to do do not hold up the other rooms, and keep its order", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const [busy, other] = [await world.room([alice, bob], false), await world.room([alice, bob], false)];
    const reader = world.client(bob);
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    reader.client.on("message", async ({ roomId }) => {
      if (roomId !== busy) return;
      begun.resolve();
      await gate.promise;
    });
    await reader.client.connect();
    await say(alice, busy, "0");
    await begun.promise;
    for (let n = 1; n < 300; n += 1) await say(alice, busy, String(n));
    await say(alice, other, "other");
    await reader.until(() => reader.bodies.includes("other"));
    expect(reader.bodies).toEqual(["0", "other"]);
    gate.resolve();
    await reader.until(() => reader.messages.length === 301);
    expect(reader.bodies.filter((body) => body !== "other")).toEqual(Array.from({ length: 300 }, (_, n) => String(n)));
    await expect.poll(async () => (await reader.client.stats()).waiting?.inbox).toBe(0);
  });

  it("may be a loop, whose event is done when it asks for the next", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = world.client(bob);
    const read: string[] = [];
    const loop = (async () => {
      for await (const { content } of reader.client.incoming()) {
        read.push(String(content.body));
        if (read.length === 2) break;
      }
    })();
    await world.connect(reader);
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "one");
    await sender.say(roomId, "two");
    await loop;
    await reader.client.close();
    const again = await world.connected(bob);
    await again.until(() => again.messages.length === 1);
    expect(again.bodies).toEqual(["two"]);
  });
});

describe("an event whose room key has not come", () => {
  it("is reported once, and delivered when the key comes, also to the next process", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = await world.connected(bob);
    const roomId = await world.room([alice, bob]);
    // Another server of the federation is slow: the key is on its way while the message has arrived.
    const late: (() => Promise<unknown>)[] = [];
    world.use(async (call, next) => {
      if (!call.route.includes("/sendToDevice/") || late.length > 0) return next();
      late.push(next);
      return { status: 200, body: {} };
    });
    const eventId = await sender.say(roomId, "patience");
    await reader.until(() => reader.undecryptable.length === 1);
    expect(reader.undecryptable[0]).toMatchObject({ eventId, code: "MissingRoomKey", held: true });
    await reader.client.close();

    const again = await world.connected(bob);
    await Promise.all(late.map((deliver) => deliver()));
    await again.until(() => again.messages.length === 1);
    expect(again.messages[0]).toMatchObject({ eventId, late: true, encrypted: true });
    expect(again.bodies).toEqual(["patience"]);
    expect(again.undecryptable).toEqual([]);
  });
});

describe("a client that logs out", () => {
  /** The same user by password: who it is, is in the store. */
  const byPassword = ({ credentials }: HomeserverClient): Partial<MatrixClientOptions> => {
    const path = join(world.directory, "bot.sqlite");
    return {
      accessToken: undefined,
      userId: credentials.userId,
      password: "password of bot",
      keyStores: [{ name: "SQLite", create: async () => new SqliteKeyStore({ path }) }],
    };
  };

  it("is forgotten by the homeserver, a new device the next time, and has not deleted its room keys", async () => {
    const [alice, bot] = [await world.user("alice"), await world.user("bot")];
    const sender = await world.connected(alice);
    const first = await world.connected(bot, byPassword(bot));
    const roomId = await world.room([alice, bot]);
    await sender.say(roomId, "before");
    await first.until(() => first.messages.length === 1);
    const { deviceId } = first.client;
    await first.client.logOut();
    const { devices } = await bot.call("GET", "/devices");
    expect((devices as { device_id: string }[]).map((device) => device.device_id)).toEqual([bot.credentials.deviceId]);
    expect(first.errors).toEqual([]);
    await expect(first.client.logOut()).rejects.toMatchObject({ code: "CLOSED" });
    await first.client.close();

    const second = await world.connected(bot, byPassword(bot));
    expect(second.client.deviceId).not.toBe(deviceId);
    await second.say(roomId, "here again");
    await sender.until(() => sender.bodies.includes("here again"));
    await sender.say(roomId, "after");
    await second.until(() => second.messages.length === 1);
    expect(second.bodies).toEqual(["after"]);
    await second.client.close();

    const keyStore = new SqliteKeyStore({ path: join(world.directory, "bot.sqlite") });
    await keyStore.init();
    await using engine = await openOlmMachine({
      keyStore,
      userId: bot.credentials.userId,
      deviceId: String(deviceId),
      key: new Uint8Array(32).fill(7),
      create: "never",
    });
    const keys = JSON.parse(await engine.machine.exportRoomKeys(() => true)) as { room_id: string }[];
    expect(keys.map((key) => key.room_id)).toEqual([roomId]);
  });

  it("is closed where the homeserver is not there, and stays the device that it was", async () => {
    const bot = await world.user("bot");
    const first = await world.connected(bot, byPassword(bot));
    const { deviceId } = first.client;
    const mend = world.use(async (call, next) =>
      call.route.endsWith("/logout") ? { status: 403, body: { errcode: "M_FORBIDDEN", error: "not now" } } : next(),
    );
    await expect(first.client.logOut()).rejects.toMatchObject({ errcode: "M_FORBIDDEN" });
    await expect(first.client.sendText("!room:localhost", "hello")).rejects.toMatchObject({ code: "CLOSED" });
    mend();
    const second = await world.connected(bot, byPassword(bot));
    expect(second.client.deviceId).toBe(deviceId);
  });
});
