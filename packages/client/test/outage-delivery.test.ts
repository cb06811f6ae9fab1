import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import type { TcpProxy } from "@holdfast/dev-postgres";
import type { KeyStoreCandidate } from "@holdfast/key-store-core";
import { describe, expect, it } from "vitest";
import { CUT_OFF, postgresAt, usePostgres } from "./support/postgres-place.ts";
import type { Watched, World } from "./support/world.ts";

let world: World;
let proxy: TcpProxy;
let url: string;

usePostgres((place) => {
  ({ world, proxy, proxied: url } = place);
});

const keyStores = (): KeyStoreCandidate[] => [postgresAt(url, CUT_OFF)];

/** From this call on PostgreSQL is away. */
function cut(): void {
  void proxy.setMode("refuse");
  proxy.severAll();
}

async function say(user: HomeserverClient, roomId: string, body: string): Promise<void> {
  await user.call("PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`, {
    msgtype: "m.text",
    body,
  });
}

/** Resolves when the client has noticed that PostgreSQL is away: it writes because a room changes. */
async function paused(reader: Watched, alice: HomeserverClient, roomId: string): Promise<void> {
  await alice.call("PUT", `/rooms/${encodeURIComponent(roomId)}/state/m.room.topic/`, { topic: "away" });
  await reader.until(() => reader.client.mode === "paused");
}

describe("what is delivered while PostgreSQL is away", () => {
  it("is not done before its handlers are: it is in the inbox when PostgreSQL is back, and comes to the next process", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const reader = world.client(bob, { keyStores: keyStores() });
    let calls = 0;
    reader.client.on("message", () => {
      calls += 1;
      return new Promise(() => {});
    });
    await reader.client.connect();
    cut();
    await paused(reader, alice, roomId);
    await say(alice, roomId, "important");
    await reader.until(() => reader.messages.length === 1);
    await proxy.setMode("pass");
    await reader.until(() => reader.client.mode === "production");
    await expect.poll(async () => (await reader.client.stats()).waiting?.inbox).toBe(1);
    await reader.client.close();
    expect(calls).toBe(1);

    const again = await world.connected(bob, { keyStores: keyStores() });
    await again.until(() => again.messages.length === 1);
    expect(again.bodies).toEqual(["important"]);
  });

  it("comes once where PostgreSQL is back and goes away again before it has taken anything in", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const reader = world.client(bob, { keyStores: keyStores() });
    let returns = 0;
    reader.client.on("mode", ({ mode, previous }) => {
      if (mode !== "production" || previous !== "paused") return;
      returns += 1;
      if (returns === 1) cut();
    });
    await reader.client.connect();
    cut();
    await paused(reader, alice, roomId);
    await say(alice, roomId, "once");
    await reader.until(() => reader.messages.length === 1);
    await proxy.setMode("pass");
    await reader.until(() => returns === 1 && reader.client.mode === "paused");
    await say(alice, roomId, "again away");
    await reader.until(() => reader.bodies.includes("again away"));
    await proxy.setMode("pass");
    await reader.until(() => returns === 2);
    await say(alice, roomId, "back");
    await reader.until(() => reader.bodies.includes("back"));
    expect(reader.bodies).toEqual(["once", "again away", "back"]);
  });
});

describe("an invitation, and a knock, that PostgreSQL is away for", () => {
  it("comes once, and one that is made again afterwards comes too", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const { userId } = bob.credentials;
    const roomId = await world.room([alice, bob], false);
    const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
    const { room_id: closed } = await alice.call("POST", "/createRoom", { initial_state: [rules] });
    const reader = world.client(bob, { keyStores: keyStores() });
    const told: string[] = [];
    const done = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    for (const name of ["invite", "knock"] as const) {
      reader.client.on(name, (event) => {
        told.push(`${name} ${event.roomId}`);
        done[told.length - 1]?.resolve();
      });
    }
    await reader.client.connect();
    cut();
    await paused(reader, alice, roomId);
    const { room_id: invitedTo } = await alice.call("POST", "/createRoom", { invite: [userId] });
    await done[0]?.promise;
    await bob.call("POST", `/knock/${encodeURIComponent(String(closed))}`, {});
    await done[1]?.promise;
    await proxy.setMode("pass");
    await reader.until(() => reader.client.mode === "production");
    await say(alice, roomId, "back");
    await reader.until(() => reader.bodies.includes("back"));
    const once = [`invite ${invitedTo}`, `knock ${closed}`];
    expect(told).toEqual(once);

    const room = `/rooms/${encodeURIComponent(String(invitedTo))}`;
    await bob.call("POST", `${room}/leave`, {});
    await alice.call("POST", `${room}/invite`, { user_id: userId });
    await done[2]?.promise;
    expect(told).toEqual([...once, `invite ${invitedTo}`]);
  });
});

describe("what a sync left out while PostgreSQL is away", () => {
  it("does not hold other rooms up where the homeserver does not give it, and comes when it does", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const [broken, fine] = [await world.room([alice, bob], false), await world.room([alice, bob], false)];
    const reader = await world.connected(bob, { keyStores: keyStores(), timelineLimit: 2 });
    const mend = world.use(async (call, next) =>
      call.route.endsWith("/messages")
        ? { status: 429, body: { errcode: "M_LIMIT_EXCEEDED", error: "later", retry_after_ms: 90_000 } }
        : next(),
    );
    cut();
    await paused(reader, alice, fine);
    for (let n = 0; n < 6; n += 1) await say(alice, broken, `message-${n}`);
    await say(alice, fine, "fine");
    await reader.until(() => reader.bodies.includes("fine") && reader.bodies.includes("message-5"));
    mend();
    await reader.until(() => reader.messages.length === 7);
    expect(reader.client.mode).toBe("paused");
    expect([...reader.bodies].sort()).toEqual(["fine", ...Array.from({ length: 6 }, (_, n) => `message-${n}`)]);
  });
});

describe("an event that is set aside", () => {
  it("while PostgreSQL goes away is not lost: it is set aside when PostgreSQL is back", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const reader = world.client(bob, { keyStores: keyStores(), handlerAttempts: 1 });
    reader.client.on("message", () => {
      throw new Error("cannot");
    });
    reader.client.on("error", () => {
      if (reader.errors.length === 1) cut();
    });
    await reader.client.connect();
    await say(alice, roomId, "important");
    await reader.until(() => reader.client.mode === "paused");
    await proxy.setMode("pass");
    await reader.until(() => reader.client.mode === "production");
    await expect.poll(async () => (await reader.client.stats()).waiting).toEqual({ inbox: 0, held: 0, setAside: 1 });
  });
});
