import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  delay,
  drop,
  duplicate,
  error,
  holdRequest,
  holdResponse,
  loseResponse,
  rateLimit,
} from "../../src/faults/index.ts";
import type { FaultyHomeserver } from "../../src/index.ts";
import { type Actor, path, World } from "./actors.ts";

/** What faults do to calls, on any homeserver. */
export function faultSuite(name: string, start: () => Promise<FaultyHomeserver>): void {
  describe(`faults of ${name}`, () => faults(start));
}

function faults(start: () => Promise<FaultyHomeserver>): void {
  let server: FaultyHomeserver;
  let world: World;
  let alice: Actor;
  beforeAll(async () => {
    server = await start();
    world = new World(server);
    alice = await world.actor();
    return () => server.stop();
  });
  beforeEach(() => {
    server.faults.clear();
    server.journal.clear();
  });

  const whoami = (actor = alice) => actor.call("GET", "/account/whoami");
  const said = (room: string) => server.journal.events(room).map((event) => event.content.body);

  test("a dropped request never reached the server, and the next one does", async () => {
    const fault = server.faults.next({ path: "/account/whoami" }, drop());
    await expect(whoami()).rejects.toThrow("fetch failed");
    await fault.fired();
    expect(server.journal.entries()).toEqual([]);
    expect(await whoami()).toMatchObject({ device_id: "DEVICE" });
    expect([fault.count, server.journal.entries().length]).toEqual([1, 1]);
  });

  test("a request whose response is lost was done", async () => {
    const room = await alice.newRoom();
    server.faults.next({ method: "PUT", path: "/send/{eventType}/{txnId}" }, loseResponse());
    await expect(alice.say(room, "once")).rejects.toThrow("fetch failed");
    expect(said(room)).toEqual(["once"]);
  });

  test("the n-th of the requests that fit goes wrong, and no other", async () => {
    const fault = server.faults.next({ path: /whoami$/, userId: alice.userId }, error(500, "M_UNKNOWN", { a: 1 }), 2);
    await whoami();
    await expect(whoami()).rejects.toMatchObject({ status: 500, errcode: "M_UNKNOWN", body: { a: 1 } });
    await whoami();
    expect(fault.count).toBe(1);
  });

  test("every request that fits goes wrong until the fault is removed, and others do not", async () => {
    const bob = await world.actor();
    const fault = server.faults.always({ userId: alice.userId }, drop());
    await expect(whoami()).rejects.toThrow("fetch failed");
    await expect(whoami()).rejects.toThrow("fetch failed");
    await whoami(bob);
    await fault.fired(2);
    fault.remove();
    await whoami();
    expect(fault.count).toBe(2);
  });

  test("a rate limit says twice how long to wait", async () => {
    server.faults.next({ path: "/login" }, rateLimit(1_500));
    const response = await fetch(`${server.baseUrl}/_matrix/client/v3/login`);
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "2"]);
    expect(await response.json()).toMatchObject({ errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 1_500 });
  });

  test("a doubled request is handled twice, which a transaction id makes one event", async () => {
    const room = await alice.newRoom();
    server.faults.next({ path: "/send/m.room.message/same" }, duplicate());
    const event_id = await alice.say(room, "hello", "same");
    expect(said(room)).toEqual(["hello", "hello"]);
    const { chunk } = await alice.call("GET", `${path("rooms", room, "messages")}?dir=b&limit=1`);
    expect(chunk).toMatchObject([{ event_id }]);
  });

  test("a held request is overtaken by those behind it", async () => {
    const room = await alice.newRoom();
    const fault = server.faults.next({ path: "/first" }, holdRequest());
    const first = alice.say(room, "first");
    await fault.fired();
    await alice.say(room, "second");
    fault.release();
    await first;
    expect(said(room)).toEqual(["second", "first"]);
  });

  test("a held response belongs to a request that was done", async () => {
    const room = await alice.newRoom();
    const fault = server.faults.next({ path: "/held" }, holdResponse());
    const held = alice.say(room, "held");
    await fault.fired();
    expect(said(room)).toEqual(["held"]);
    fault.release();
    expect(await held).toMatch(/^\$/);
  });

  test("a delayed request is handled in the end", async () => {
    server.faults.next({ path: "/whoami" }, delay(20));
    expect(await whoami()).toMatchObject({ device_id: "DEVICE" });
  });

  test("connections that are cut take a waiting sync with them, and the server goes on", async () => {
    const { next_batch: since } = await alice.call("GET", "/sync");
    const fault = server.faults.next({ path: "/sync" }, holdResponse());
    const waiting = expect(alice.call("GET", `/sync?since=${since}`)).rejects.toThrow("fetch failed");
    await fault.fired();
    server.cutConnections();
    await waiting;
    await whoami();
  });

  test("the journal says when a call was answered as wanted, also one that was before", async () => {
    const calls = { path: "/whoami", userId: alice.userId };
    server.journal.clear();
    const told: string[] = [];
    const answered = server.journal.answered(calls).then(() => told.push("answered"));
    await alice.call("GET", "/sync");
    const fault = server.faults.next(calls, error(500, "M_UNKNOWN"));
    await expect(whoami()).rejects.toMatchObject({ status: 500 });
    expect([fault.count, told]).toEqual([1, []]);
    await whoami();
    await answered;
    await server.journal.answered(calls);
    expect(told).toEqual(["answered"]);
  });

  test("the journal tells messages to devices with both ends, and which keys were handed out", async () => {
    const content = { n: 1 };
    await alice.call("PUT", path("sendToDevice", "org.example.note", "t"), {
      messages: { "@bob:localhost": { "*": content } },
    });
    expect(server.journal.toDevice()).toEqual([
      {
        sender: alice.userId,
        senderDevice: "DEVICE",
        recipient: "@bob:localhost",
        recipientDevice: "*",
        type: "org.example.note",
        content,
      },
    ]);
    const key = { key: "a", signatures: { [alice.userId]: { "ed25519:DEVICE": "signature" } } };
    await alice.call("POST", "/keys/upload", { one_time_keys: { "signed_curve25519:A": key } });
    await alice.call("POST", "/keys/claim", { one_time_keys: { [alice.userId]: { DEVICE: "signed_curve25519" } } });
    expect(server.journal.handedOutKeys()).toEqual([
      {
        claimedBy: alice.userId,
        userId: alice.userId,
        deviceId: "DEVICE",
        keyId: "signed_curve25519:A",
        key,
      },
    ]);
  });
}
