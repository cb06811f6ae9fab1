import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { DriverKeyStore } from "@holdfast/key-store-core";
import type { MemoryStorage } from "@holdfast/key-store-memory";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryDriver } from "../../key-store-memory/src/driver.ts";
import { CutDriver, type CutPoint, pointName } from "./cut/cut-driver.ts";
import { bodiesSeenBy, MEGOLM, party } from "./support/dev-rooms.ts";
import { type Login, register, SendingClient, type SendingClientOptions } from "./support/sending-client.ts";

let homeserver: DevHomeserver;
const open: SendingClient[] = [];

beforeEach(async () => {
  homeserver = await startDevHomeserver();
});

afterEach(async () => {
  for (const client of open.splice(0)) await client.close();
  await homeserver.close();
});

async function start(login: Login, options: SendingClientOptions = {}): Promise<SendingClient> {
  const client = await SendingClient.open(login, options);
  open.push(client);
  return client;
}

const MESSAGE = { msgtype: "m.text", body: "hello" };

/** A bot that dies at one of the requests of its first send, and Alice, who is in the room with it. */
async function dying(
  kill: SendingClientOptions["kill"],
  { name = "bot", ...options }: SendingClientOptions & { readonly name?: string } = {},
) {
  const bot = await start(await register(homeserver.url, name), { ...options, kill });
  const alice = await party(homeserver, `${name}-alice`);
  const room = await bot.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
  await alice.join(room);
  await bot.sync();
  bot.armed = true;
  return { bot, alice, room };
}

/** The requests of a first send: members, one-time keys, the room key, the message. Device lists are asked for as syncs tell of members. */
const REQUESTS = 4;

describe("a process that is killed while it sends", () => {
  it("makes as many requests as the cases below have", async () => {
    const { bot, room } = await dying(undefined);
    await bot.outbox.send(room, "m.room.message", MESSAGE);
    expect(bot.requests).toBe(REQUESTS);
  });

  const cases = Array.from({ length: REQUESTS }, (_, request) => request).flatMap((request) => [
    { request, when: "before" as const },
    { request, when: "after" as const },
  ]);

  it.each(cases)("$when request $request: the same send, made again, is one event that is read", async (kill) => {
    const { bot, alice, room } = await dying(kill);
    const sending = bot.outbox.send(room, "m.room.message", MESSAGE, { transactionId: "t1" });
    await Promise.race([bot.killed.promise, sending]);
    const next = await start(bot.login, { storage: bot.storage });
    const { eventId } = await next.outbox.send(room, "m.room.message", MESSAGE, { transactionId: "t1" });
    await next.outbox.send(room, "m.room.message", { ...MESSAGE, body: "and on" });
    expect((await next.timeline(room))[0]?.event_id).toBe(eventId);
    expect(await bodiesSeenBy(alice)).toEqual(["hello", "and on"]);
  });

  it.each([
    { request: REQUESTS - 1, when: "before" as const },
    { request: REQUESTS - 1, when: "after" as const },
  ])(
    "$when the message has left: what is in the outbox is sent by the next process, once, in its place",
    async (kill) => {
      const { bot, alice, room } = await dying(kill);
      void bot.outbox.send(room, "m.room.message", MESSAGE, { owner: "entry 1", transactionId: "t1" });
      await bot.killed.promise;
      const next = await start(bot.login, { storage: bot.storage });
      await next.outbox.send(room, "m.room.message", { ...MESSAGE, body: "and on" });
      expect(await bodiesSeenBy(alice)).toEqual(["hello", "and on"]);
      const [first] = await next.timeline(room);
      expect(await next.outbox.find(room, { owner: "entry 1", transactionId: "t1" })).toEqual({
        eventId: first?.event_id,
      });
    },
  );

  it("leaves all that waits behind another message, and the next process sends it in order", async () => {
    const { bot, alice, room } = await dying({ request: REQUESTS - 1, when: "before" });
    const bodies = ["1", "2", "3", "4"];
    for (const body of bodies) void bot.outbox.send(room, "m.room.message", { ...MESSAGE, body });
    await bot.killed.promise;
    // The first stands still in the network; the others are written down behind it.
    await expect.poll(() => bot.encryption?.collection("outbox").count()).toBe(bodies.length);
    const next = await start(bot.login, { storage: bot.storage });
    await next.outbox.resume();
    await next.outbox.send(room, "m.room.message", { ...MESSAGE, body: "5" });
    expect(await bodiesSeenBy(alice)).toEqual([...bodies, "5"]);
  });
});

describe("a store that fails while a message is sent", () => {
  const options = { transactionId: "t1" };

  /** A bot whose store goes away at an operation of its first send; opened again, the store is there. */
  async function failing(name: string, point: CutPoint | undefined) {
    let cut: CutDriver | undefined;
    const keyStore = (storage: MemoryStorage): DriverKeyStore => {
      const driver = new MemoryDriver(storage);
      if (cut !== undefined) return new DriverKeyStore(driver);
      cut = new CutDriver(driver);
      return new DriverKeyStore(cut);
    };
    const parts = await dying(undefined, { name, keyStore });
    cut?.arm(point);
    const first = await parts.bot.outbox.send(parts.room, "m.room.message", MESSAGE, options).catch((error) => error);
    return { ...parts, first, operations: cut?.operations ?? [] };
  }

  it("tells the caller at every commit of it, and the same send, made again, is one event that is read", async () => {
    const { operations } = await failing("dry", undefined);
    const commits = operations.flatMap((operation, after) => (operation === "commit" ? [{ after, operation }] : []));
    const points = commits.flatMap((commit) => [
      { ...commit, lost: "request" as const, afterwards: "gone" as const },
      { ...commit, lost: "answer" as const, afterwards: "gone" as const },
    ]);
    expect(commits.length).toBeGreaterThan(4);
    for (const [index, point] of points.entries()) {
      const { bot, alice, room, first } = await failing(`cut${index}`, point);
      const told = "eventId" in first ? "sent" : first.code;
      bot.goAway();
      await bot.comeBack();
      await bot.outbox.resume();
      const { eventId } = await bot.outbox.send(room, "m.room.message", MESSAGE, options);
      await bot.outbox.send(room, "m.room.message", { ...MESSAGE, body: "and on" });
      const seen = await bodiesSeenBy(alice);
      const [event] = await bot.timeline(room);
      expect([pointName(point), told, seen, event?.event_id]).toEqual([
        pointName(point),
        expect.stringMatching(/^(sent|ENCRYPTION_UNAVAILABLE)$/),
        ["hello", "and on"],
        eventId,
      ]);
    }
  });
});
