import { randomUUID } from "node:crypto";
import type { TcpProxy } from "@holdfast/dev-postgres";
import type { KeyStoreCandidate } from "@holdfast/key-store-core";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { describe, expect, it } from "vitest";
import { CUT_OFF, postgresAt, usePostgres } from "./support/postgres-place.ts";
import type { World } from "./support/world.ts";

let world: World;
let proxy: TcpProxy;
let url: string;

usePostgres((place) => {
  ({ world, proxy, proxied: url } = place);
});

const postgres = (): KeyStoreCandidate => postgresAt(url, CUT_OFF);

const sqlite = (name: string = randomUUID()): KeyStoreCandidate => ({
  name: "SQLite",
  create: async () => new SqliteKeyStore({ path: `${world.directory}/${name}.sqlite` }),
});

/** The tokens that a device's syncs have sent, in order. */
function tokensSentBy(deviceId: string): (string | null)[] {
  const tokens: (string | null)[] = [];
  world.use((call, next) => {
    if (call.route.endsWith("/sync") && call.device?.deviceId === deviceId) tokens.push(call.query.get("since"));
    return next();
  });
  return tokens;
}

describe("while PostgreSQL is away", () => {
  it("plain rooms go on, encrypted ones refuse, nothing is acknowledged; then all that came is delivered", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const reader = await world.connected(bob, { keyStores: [postgres(), sqlite()] });
    const [encrypted, plain] = [await world.room([alice, bob]), await world.room([alice, bob], false)];
    await sender.say(encrypted, "before");
    await reader.until(() => reader.messages.length === 1);
    expect(reader.client).toMatchObject({ mode: "production", keyStoreAvailable: true });
    const { identity } = reader.client;
    await expect.poll(() => world.homeserver.toDeviceWaiting(bob.credentials.userId, bob.credentials.deviceId)).toBe(0);

    await proxy.setMode("refuse");
    proxy.severAll();
    const another = await world.room([alice, bob]);
    await sender.say(another, "a new key, meanwhile");
    await reader.until(() => reader.client.mode === "paused");
    expect(reader.client.keyStoreAvailable).toBe(false);
    expect(reader.client.status.reason).toMatch(/PostgreSQL key store/);
    const tokens = tokensSentBy(bob.credentials.deviceId);
    await sender.say(plain, "in clear");
    await reader.until(() => reader.bodies.includes("in clear"));
    await expect(reader.say(encrypted, "secret")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    expect(await reader.say(plain, "still here")).toMatch(/^\$/);
    await sender.say(plain, "in clear again");
    await reader.until(() => reader.bodies.includes("in clear again"));
    expect(new Set(tokens).size).toBe(1);
    expect(world.homeserver.toDeviceWaiting(bob.credentials.userId, bob.credentials.deviceId)).toBeGreaterThan(0);

    await proxy.setMode("pass");
    await reader.until(() => reader.client.mode === "production");
    await reader.until(() => reader.bodies.includes("a new key, meanwhile"));
    expect(reader.client.identity).toEqual(identity);
    expect(reader.bodies.toSorted()).toEqual(["a new key, meanwhile", "before", "in clear", "in clear again"]);
    expect(await reader.say(encrypted, "back")).toMatch(/^\$/);
    await sender.until(() => sender.bodies.includes("back"));
    expect(reader.modes.map(({ mode }) => mode)).toEqual(["production", "paused", "production"]);
    expect(reader.errors).toEqual([]);
  });

  it("at the start, a client that is to wait serves plain rooms, and begins to encrypt when it is there", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const [encrypted, plain] = [await world.room([alice, bob]), await world.room([alice, bob], false)];
    await proxy.setMode("refuse");
    const reader = await world.connected(bob, { keyStores: [postgres(), sqlite()], onUnavailable: "wait" });
    expect(reader.client).toMatchObject({ mode: "waiting", keyStoreAvailable: false });
    expect((await reader.client.stats()).store?.status.state).toBe("unavailable");
    await sender.say(plain, "in clear");
    await reader.until(() => reader.bodies.includes("in clear"));
    await expect(reader.say(encrypted, "secret")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });

    await proxy.setMode("pass");
    await reader.until(() => reader.client.mode === "production");
    await expect.poll(() => reader.client.identity?.ed25519).toBeDefined();
    expect(await reader.say(encrypted, "now")).toMatch(/^\$/);
    await sender.until(() => sender.bodies.includes("now"));
    expect(reader.bodies).toEqual(["in clear"]);
  });

  it("at the start, a fallback that does not hold the identity the homeserver knows is not used", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    const options = () => ({ keyStores: [postgres(), sqlite()] });
    const first = await world.connected(bob, options());
    const encrypted = await world.room([alice, bob]);
    await sender.say(encrypted, "before");
    await first.until(() => first.messages.length === 1);
    expect(first.client.mode).toBe("production");
    const { identity } = first.client;
    await first.client.close();
    await sender.say(encrypted, "while it was down");

    await proxy.setMode("refuse");
    const again = await world.connected(bob, options());
    expect(again.client).toMatchObject({ mode: "waiting", keyStoreAvailable: false, identity: undefined });
    expect(again.client.status.reason).toMatch(/the SQLite store does not hold this device's keys/);
    const tokens = tokensSentBy(bob.credentials.deviceId);
    const another = await world.room([alice, bob]);
    await sender.say(another, "a new key, meanwhile");
    await expect.poll(() => tokens.length).toBeGreaterThan(2);
    expect(new Set(tokens)).toEqual(new Set([null]));
    expect(world.homeserver.toDeviceWaiting(bob.credentials.userId, bob.credentials.deviceId)).toBeGreaterThan(0);

    await proxy.setMode("pass");
    await again.until(
      () => again.bodies.includes("a new key, meanwhile") && again.bodies.includes("while it was down"),
    );
    expect(again.client).toMatchObject({ mode: "production", identity });
  });
});

describe("a device that began on the fallback, because PostgreSQL was away and nobody knew it yet", () => {
  it("encrypts there, and moves to PostgreSQL when it is there, with its identity and its inbox", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    await proxy.setMode("refuse");
    const reader = world.client(bob, { keyStores: [postgres(), sqlite("fallback")] });
    const gate = Promise.withResolvers<void>();
    reader.client.on("message", async ({ content }) => {
      if (content.body === "slowly") await gate.promise;
    });
    await world.connect(reader);
    expect(reader.client).toMatchObject({ mode: "development", keyStoreAvailable: false });
    const { identity } = reader.client;
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "on the fallback");
    await sender.say(roomId, "slowly");
    await reader.until(() => reader.bodies.includes("slowly"));

    // The first attempt to move is cut off in the middle.
    const cut = proxy.arm({ direction: "toServer", marker: "insert into", damage: "cut" });
    await proxy.setMode("pass");
    await cut;
    await reader.until(() => reader.client.mode === "production");
    expect(reader.client).toMatchObject({ keyStoreAvailable: true, identity });
    gate.resolve();
    await sender.say(roomId, "on PostgreSQL");
    await reader.until(() => reader.bodies.includes("on PostgreSQL"));
    expect(await reader.say(roomId, "from PostgreSQL")).toMatch(/^\$/);
    await sender.until(() => sender.bodies.includes("from PostgreSQL"));
    expect(reader.log).toContain("info The device's keys were moved from the SQLite store to the PostgreSQL store");
    await reader.client.close();

    // Another container, with an empty disk.
    const again = await world.connected(bob, { keyStores: [postgres(), sqlite()] });
    expect(again.client).toMatchObject({ mode: "production", identity });
  });

  it("moves at the next start, where it ended before PostgreSQL was there", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const sender = await world.connected(alice);
    await proxy.setMode("refuse");
    const first = await world.connected(bob, { keyStores: [postgres(), sqlite("fallback")] });
    const { identity } = first.client;
    const roomId = await world.room([alice, bob]);
    await sender.say(roomId, "on the fallback");
    await first.until(() => first.messages.length === 1);
    await first.client.close();
    await sender.say(roomId, "while it was down");

    await proxy.setMode("pass");
    const again = await world.connected(bob, { keyStores: [postgres(), sqlite("fallback")] });
    expect(again.client).toMatchObject({ mode: "production", identity });
    await again.until(() => again.messages.length === 1);
    expect(again.bodies).toEqual(["while it was down"]);
    await again.client.close();

    // The store that it has left is refused: nothing begins a second life there.
    await proxy.setMode("refuse");
    const stale = await world.connected(bob, { keyStores: [postgres(), sqlite("fallback")] });
    expect(stale.client).toMatchObject({ mode: "waiting", keyStoreAvailable: false });
  });
});

describe("a device that has no key on the fallback", () => {
  it("is not brought to PostgreSQL, where others could read it, and goes on where it is", async () => {
    const bob = await world.user("bob");
    await proxy.setMode("refuse");
    const reader = await world.connected(bob, { key: undefined, keyStores: [postgres(), sqlite()] });
    expect(reader.client.mode).toBe("development");
    const { identity } = reader.client;
    await proxy.setMode("pass");
    await expect
      .poll(() => reader.log.filter((line) => line.startsWith("error")))
      .toEqual([expect.stringContaining("PostgreSQL would hold the keys where others may read them")]);
    expect(reader.client).toMatchObject({ mode: "development", identity });
    await reader.client.close();
    const keyStore = new PostgresKeyStore({ url, connectTimeoutMs: 20_000 });
    await using _ = keyStore;
    expect(await keyStore.init()).toBe(true);
    expect(await keyStore.listDevices()).toEqual([]);
  });
});
