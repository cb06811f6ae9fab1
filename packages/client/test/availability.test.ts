import { rateLimit } from "@holdfast/dev-homeserver/faults";
import { type KeyStoreCandidate, KeyStoreError } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SwitchableStore } from "./support/switchable-store.ts";
import { World } from "./support/world.ts";

let world: World;
let preferred: SwitchableStore;
let fallback: SwitchableStore;

beforeEach(async () => {
  world = await World.start();
  preferred = new SwitchableStore("First");
  fallback = new SwitchableStore("Second");
});

afterEach(() => world[Symbol.asyncDispose]());

const both = () => [preferred.candidate, fallback.candidate];

describe("a store that fails", () => {
  it("for one read in the middle of a sync is opened again, by the same process", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const reader = await world.connected(bob, { keyStores: [preferred.candidate], waitMs: 500 });
    const roomId = await world.room([alice, bob], false);
    preferred.switches.reads = "client/rooms";
    await alice.call("PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, {
      msgtype: "m.text",
      body: "x",
    });
    await reader.until(() => reader.client.mode === "paused");
    preferred.switches.reads = undefined;
    await reader.until(() => reader.client.mode === "production" || reader.client.mode === "ephemeral");
    await reader.until(() => reader.bodies.includes("x"));
  });

  it("in the place of the one that was asked for is opened again too", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    preferred.switches.down = true;
    const reader = await world.connected(bob, { keyStores: both() });
    const { identity, mode } = reader.client;
    fallback.switches.down = true;
    await world.room([alice, bob]);
    await reader.until(() => reader.client.mode === "paused");
    fallback.switches.down = false;
    await reader.until(() => reader.client.mode === mode);
    expect(reader.client.identity).toEqual(identity);
  });

  it("for good stays away, although the one that was asked for comes back", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    preferred.switches.down = true;
    const reader = await world.connected(bob, { keyStores: both() });
    fallback.switches.commit = new KeyStoreError("ERR_KEY_STORE_ROLLBACK", "put back");
    await world.room([alice, bob]);
    await reader.until(() => reader.client.mode === "off");
    preferred.switches.down = false;
    const asked = Promise.withResolvers<void>();
    let syncs = 0;
    world.use((call, next) => {
      if (call.route.endsWith("/sync") && call.device?.deviceId === bob.credentials.deviceId && ++syncs === 20)
        asked.resolve();
      return next();
    });
    await asked.promise;
    expect(reader.client).toMatchObject({ mode: "off", identity: undefined });
    expect(reader.modes.at(-1)?.error).toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
  });
});

describe("a homeserver that wants to be asked later", () => {
  it("for the device's keys at the start pauses encryption, and does not end it", async () => {
    const bob = await world.user("bob");
    world.homeserver.faults.next({ path: "/keys/query" }, rateLimit(61_000));
    const reader = await world.connected(bob, { keyStores: [preferred.candidate] });
    expect(reader.modes[0]).toMatchObject({ mode: "paused", error: { code: "HOMESERVER_UNREACHABLE" } });
    await reader.until(() => reader.client.mode === "ephemeral");
  });

  it("for them when the store is back does not end it either", async () => {
    const bob = await world.user("bob");
    const reader = await world.connected(bob, { keyStores: [preferred.candidate] });
    preferred.switches.down = true;
    await world.room([bob], false);
    await reader.until(() => reader.client.mode === "paused");
    const limited = world.homeserver.faults.next({ path: "/keys/query" }, rateLimit(61_000));
    preferred.switches.down = false;
    await reader.until(() => reader.client.mode === "ephemeral");
    expect(limited.count).toBe(1);
    expect(reader.modes.map(({ mode }) => mode)).toEqual(["ephemeral", "paused", "ephemeral"]);
  });
});

describe("a store that cannot be made", () => {
  it("is asked for again, as one that is not there", async () => {
    const bob = await world.user("bob");
    const askedOften = Promise.withResolvers<void>();
    let [calls, open] = [0, false];
    const vault: KeyStoreCandidate = {
      name: "Vault",
      create: async () => {
        calls += 1;
        if (calls === 4) askedOften.resolve();
        if (!open) throw new Error("the secret for the database cannot be had");
        return preferred.open();
      },
    };
    const reader = await world.connected(bob, { keyStores: [vault, fallback.candidate] });
    await askedOften.promise;
    expect(reader.client.keyStoreAvailable).toBe(false);
    const { identity } = reader.client;
    open = true;
    await reader.until(() => reader.client.keyStoreAvailable);
    expect(reader.client.identity).toEqual(identity);
  });
});

describe("a device that lives in another store than the one that was asked for", () => {
  it("is moved, whatever the candidate that made its store is called", async () => {
    const bob = await world.user("bob");
    preferred.switches.down = true;
    const reader = await world.connected(bob, {
      keyStores: [preferred.candidate, { name: "memory", create: async () => new MemoryKeyStore() }],
    });
    const { identity } = reader.client;
    expect(identity).toBeDefined();
    preferred.switches.down = false;
    await reader.until(() => reader.client.keyStoreAvailable);
    expect(reader.client.identity).toEqual(identity);
  });

  it("is moved out of a store that was given ready-made, to one that was too", async () => {
    const bob = await world.user("bob");
    preferred.switches.down = true;
    const keyStores = [preferred.open(), new MemoryKeyStore({ storage: new MemoryStorage() })];
    const reader = await world.connected(bob, { keyStores });
    const { identity } = reader.client;
    preferred.switches.down = false;
    await reader.until(() => reader.client.keyStoreAvailable);
    expect(reader.client.identity).toEqual(identity);
    await reader.client.close();
    expect(keyStores.map(({ status }) => status.state)).toEqual(["closed", "closed"]);
  });

  it("is the one that logged in there by password, also when the store that was asked for is there", async () => {
    const { userId } = await world.homeserver.registerUser("carol", "secret");
    const login = { homeserver: world.homeserver.baseUrl, userId, password: "secret", accessToken: undefined };
    const user = await world.user("nobody");
    preferred.switches.down = true;
    const first = world.client(user, { ...login, keyStores: both() });
    await first.client.connect();
    const { deviceId, identity } = first.client;
    await first.client.close();
    preferred.switches.down = false;
    const again = world.client(user, { ...login, keyStores: both() });
    await again.client.connect();
    expect(again.client).toMatchObject({ deviceId, identity, keyStoreAvailable: true });
  });
});

describe("connecting", () => {
  it("ends when its signal aborts, with nothing left open", async () => {
    const bob = await world.user("bob");
    const path = `${world.directory}/bob.sqlite`;
    const holder = await world.connected(bob, {
      keyStores: [{ name: "SQLite", create: async () => new SqliteKeyStore({ path }) }],
    });
    const stores: SqliteKeyStore[] = [];
    const create = async () => {
      const store = new SqliteKeyStore({ path });
      stores.push(store);
      return store;
    };
    const second = world.client(bob, { keyStores: [{ name: "SQLite", create }], lease: "wait", waitMs: 60_000 });
    const abort = new AbortController();
    const connecting = second.client.connect({ signal: abort.signal });
    await expect.poll(() => stores[0]?.status.state).toBe("ready");
    abort.abort(new Error("no more"));
    await expect(connecting).rejects.toThrow("no more");
    expect(stores.map(({ status }) => status.state)).toEqual(["closed"]);
    expect(holder.client.identity).toBeDefined();
  });

  it("is over when the client is closed meanwhile", async () => {
    const bob = await world.user("bob");
    const gate = Promise.withResolvers<void>();
    const stores: MemoryKeyStore[] = [];
    const create = async () => {
      await gate.promise;
      const store = new MemoryKeyStore();
      stores.push(store);
      return store;
    };
    const client = world.client(bob, { keyStores: [{ name: "slow", create }] });
    const connecting = client.client.connect();
    connecting.catch(() => {});
    const closing = client.client.close();
    gate.resolve();
    await closing;
    await expect(connecting).rejects.toMatchObject({ code: "CLOSED" });
    expect(stores.map(({ status }) => status.state)).toEqual(stores.map(() => "closed"));
  });
});
