import { existsSync } from "node:fs";
import type { TcpProxy } from "@holdfast/dev-postgres";
import type { KeyStoreCandidate } from "@holdfast/key-store-core";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { describe, expect, it } from "vitest";
import { MatrixClient } from "../src/index.ts";
import { postgresAt, usePostgres } from "./support/postgres-place.ts";
import type { World } from "./support/world.ts";

let world: World;
let proxy: TcpProxy;
let url: string;
let proxied: string;

usePostgres((place) => {
  ({ world, proxy, url, proxied } = place);
});

const postgres = (at: string = url): KeyStoreCandidate => postgresAt(at);

describe("two processes of one device", () => {
  it("take turns: the newcomer waits, and goes on when the one before it closes", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const before = await world.connected(bob, { keyStores: [postgres()] });
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "to the first");
    await before.until(() => before.messages.length === 1);
    const { identity } = before.client;

    const after = world.client(bob, { keyStores: [postgres()], lease: "wait", waitMs: 30_000 });
    const connected = after.client.connect();
    await sender.say(roomId, "to the first as well");
    await before.until(() => before.messages.length === 2);
    await before.client.close();
    await connected;
    await sender.say(roomId, "to the second");
    await after.until(() => after.bodies.includes("to the second"));
    expect(after.client).toMatchObject({ mode: "production", identity });
  });

  it("never both write: the one that was taken over says by whom, and encrypts no more", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const stale = await world.connected(bob, { keyStores: [postgres()] });
    const [roomId, plain] = [await world.room([alice, bob]), await world.room([alice, bob], false)];
    await sender.say(roomId, "before");
    await stale.until(() => stale.messages.length === 1);

    const winner = await world.connected(bob, { keyStores: [postgres()], lease: "take-over" });
    expect(winner.client.mode).toBe("production");
    await sender.say(roomId, "after");
    await stale.until(() => stale.client.mode === "off");
    expect(stale.modes.at(-1)?.error).toMatchObject({ code: "ERR_KEY_STORE_FENCED", holder: { pid: process.pid } });
    expect(stale.modes.at(-1)?.reason).toContain(String(process.pid));
    await expect(stale.say(roomId, "stale")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    expect(await stale.say(plain, "in clear")).toMatch(/^\$/);
    await winner.until(() => winner.bodies.includes("after"));
    expect(await winner.say(roomId, "mine")).toMatch(/^\$/);
    await sender.until(() => sender.bodies.includes("mine"));
    expect(sender.undecryptable).toEqual([]);
  });

  it("lose no message between devices where PostgreSQL is away for one of them", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const one = await world.connected(bob, { keyStores: [postgres()], lease: "take-over" });
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "before");
    await one.until(() => one.messages.length === 1);
    const { identity } = one.client;
    await one.client.close();

    // The other container cannot reach PostgreSQL, and syncs all the same.
    await proxy.setMode("refuse");
    const path = `${world.directory}/other.sqlite`;
    const fallback: KeyStoreCandidate = { name: "SQLite", create: async () => new SqliteKeyStore({ path }) };
    const other = await world.connected(bob, { keyStores: [postgres(proxied), fallback] });
    expect(other.client.mode).toBe("waiting");
    const rooms = [await world.room([alice, bob]), await world.room([alice, bob])];
    for (const [n, room] of rooms.entries()) await sender.say(room, `key ${n}`);
    const { userId, deviceId } = bob.credentials;
    expect(world.homeserver.toDeviceWaiting(userId, deviceId)).toBeGreaterThanOrEqual(2);

    const again = await world.connected(bob, { keyStores: [postgres()], lease: "take-over" });
    await again.until(() => again.messages.length === 2);
    expect(again.bodies.toSorted()).toEqual(["key 0", "key 1"]);
    expect(again.client).toMatchObject({ mode: "production", identity });
    expect(again.undecryptable).toEqual([]);
    expect(other.messages).toEqual([]);
  });
});

describe("the key store is missing and must not be", () => {
  it("connect() rejects where the client was told to fail, and only there", async () => {
    const alice = await world.user("alice");
    await proxy.setMode("refuse");
    const keyStores = [postgres(proxied)];
    const failing = world.client(alice, { keyStores, onUnavailable: "fail" });
    await expect(failing.client.connect()).rejects.toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE" });
    const waiting = await world.connected(alice, { keyStores, onUnavailable: "wait" });
    expect(waiting.client).toMatchObject({ mode: "waiting", keyStoreAvailable: false });
  });

  it("and a wrong key is never a reason to fall back", async () => {
    const alice = await world.user("alice");
    const first = await world.connected(alice, { keyStores: [postgres()] });
    await first.client.close();
    const other = world.client(alice, { keyStores: [postgres()], key: new Uint8Array(32).fill(9) });
    await expect(other.client.connect()).rejects.toMatchObject({ code: "ERR_KEY_STORE_WRONG_KEY" });
  });
});

describe("a client from the environment", () => {
  it("makes no SQLite file where PostgreSQL serves", async () => {
    const { credentials } = await world.user("alice");
    const path = `${world.directory}/beside.sqlite`;
    const env = {
      DATABASE_URL: url,
      KEY_STORE_SQLITE_PATH: path,
      KEY_STORE_KEY: Buffer.alloc(32, 1).toString("base64"),
      MATRIX_HOMESERVER: world.homeserver.baseUrl,
      MATRIX_ACCESS_TOKEN: credentials.accessToken,
    };
    await using client = MatrixClient.fromEnv(env);
    await client.connect();
    expect(client).toMatchObject({ mode: "production", keyStoreAvailable: true, userId: credentials.userId });
    expect(existsSync(path)).toBe(false);
  });
});
