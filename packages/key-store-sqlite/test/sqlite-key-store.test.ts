import { once } from "node:events";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { Worker } from "node:worker_threads";
import { isKeyStoreError } from "@holdfast/key-store-core";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { SqliteKeyStore, type SqliteKeyStoreOptions } from "../src/index.ts";
import { bytes, DEVICE, deviceOf, openDevice, put, readyStore, refusal } from "./devices.ts";
import { directory, newPath } from "./place.ts";

function mode(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

/** A database that the program opened itself. */
function database(path = newPath()): Database.Database {
  const db = new Database(path);
  onTestFinished(() => void db.close());
  return db;
}

it("says what it is", async () => {
  const store = await readyStore(newPath());
  expect([store.kind, store.name, store.persistence, store.mode]).toEqual([
    "sqlite",
    "SQLite",
    "durable",
    "development",
  ]);
  expect((await store.stats()).engine).toEqual({
    version: database().prepare("select sqlite_version()").pluck().get(),
    schemaVersion: 4,
    storeId: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
});

describe("options that are malformed throw at construction", () => {
  const wrong: readonly (readonly [string, unknown])[] = [
    ["nothing", undefined],
    ["null", null],
    ["neither path nor database", {}],
    ["an empty path", ""],
    ["an empty path among options", { path: "" }],
    ["a path that is no string", { path: 7 }],
    ["a path with white space at its end", { path: "keys.db " }],
    ["a path with U+0000", { path: "keys\0.db" }],
    ["a store in memory by its name", ":memory:"],
    ["a URI", { path: "file:keys.db?mode=memory" }],
    ["a database that is none", { database: {} }],
    ["a database that is null", { database: null }],
    ["a durability that is none", { path: "keys.db", durability: "off" }],
    ["a lease that is no number", { path: "keys.db", leaseMs: "15s" }],
    ["a lease of no time", { path: "keys.db", leaseMs: 0 }],
    ["a heartbeat that is no boolean", { path: "keys.db", heartbeat: 1 }],
    ["a busy timeout below 0", { path: "keys.db", busyTimeoutMs: -1 }],
    ["an acceptMissingWal that is no boolean", { path: "keys.db", acceptMissingWal: "yes" }],
    ["an option of the core out of range", { path: "keys.db", connectTimeoutMs: 0 }],
  ];
  for (const [what, options] of wrong) {
    it(what, () => {
      expect(() => new SqliteKeyStore(options as SqliteKeyStoreOptions)).toThrow(
        expect.toSatisfy((error) => isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")),
      );
    });
  }

  it("a path and a database", () => {
    const db = database();
    expect(() => new SqliteKeyStore({ path: "keys.db", database: db })).toThrow(/one of the two/);
  });

  it("a database in memory, or one that is read-only", () => {
    const path = newPath();
    database(path).exec("create table t (x)");
    const readonly = new Database(path, { readonly: true });
    onTestFinished(() => void readonly.close());
    expect(() => new SqliteKeyStore({ database: new Database(":memory:") })).toThrow(/in a file/);
    expect(() => new SqliteKeyStore({ database: readonly })).toThrow(/open for writing/);
  });
});

describe("the file", () => {
  it("is not touched by the constructor", async () => {
    const parent = directory();
    const store = new SqliteKeyStore(join(parent, "keys.db"));
    expect(readdirSync(parent)).toEqual([]);
    await store.close();
    expect(readdirSync(parent)).toEqual([]);
  });

  it("and all that lies beside it is for its owner only, and so are directories that are made", async () => {
    const path = join(directory(), "some", "where", "keys.db");
    const device = await deviceOf(path);
    await device.commit([put("a", "1")]);
    expect([path, `${path}-wal`, `${path}-shm`].map(mode)).toEqual(["600", "600", "600"]);
    expect([dirname(path), dirname(dirname(path))].map(mode)).toEqual(["700", "700"]);
  });

  it("is all that is left when the store is closed", async () => {
    const path = newPath();
    const store = await readyStore(path);
    await (await openDevice(store)).commit([put("a", "1")]);
    await store.close();
    expect(readdirSync(dirname(path))).toEqual(["keys.db"]);
  });

  it("may be given relative to the working directory of the construction", async () => {
    const path = newPath();
    const store = await readyStore(relative(process.cwd(), path));
    expect(await store.listDevices()).toEqual([]);
    expect(readdirSync(dirname(path))).toContain(basename(path));
  });

  it("is in WAL mode with synchronous=FULL, and with NORMAL only by name", async () => {
    for (const [durability, level] of [
      ["full", 2],
      ["normal", 1],
    ] as const) {
      const db = database();
      await readyStore({ database: db, durability });
      expect(db.pragma("journal_mode", { simple: true })).toBe("wal");
      expect(db.pragma("synchronous", { simple: true })).toBe(level);
    }
    const db = database();
    await readyStore({ database: db });
    expect(db.pragma("synchronous", { simple: true })).toBe(2);
  });

  it("shows records by their names to people with the sqlite3 shell", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    await device.commit([put("a", "12"), put("b", "345", "olm_sessions")]);
    expect(
      database(path)
        .prepare("select user_id, device_id, collection, cast(key as text) as key, value_bytes from record_by_name")
        .all(),
    ).toEqual([
      { user_id: DEVICE.userId, device_id: DEVICE.deviceId, collection: "sessions", key: "a", value_bytes: 2 },
      { user_id: DEVICE.userId, device_id: DEVICE.deviceId, collection: "olm_sessions", key: "b", value_bytes: 3 },
    ]);
    expect(database(path).pragma("application_id", { simple: true })).toBe(0x486f6c64);
  });
});

it("reads counts and sizes from its counters, never from the records", async () => {
  const path = newPath();
  const store = await readyStore(path);
  const device = await openDevice(store);
  await device.commit(Array.from({ length: 100 }, (_, at) => put(`key ${at}`, "value")));
  database(path).exec("delete from record");
  expect((await store.stats()).usage?.collections).toEqual([{ collection: "sessions", records: 100, bytes: 1090 }]);
  expect(await store.listDevices()).toMatchObject([{ records: 100, bytes: 1090 }]);
  expect(await device.count("sessions")).toBe(100);
});

describe("a database that the program opened itself", () => {
  it("is made a key store, and is still open when the store is closed", async () => {
    const db = database();
    const store = await readyStore({ database: db });
    await (await openDevice(store)).commit([put("a", "1")]);
    await store.close();
    expect(db.open).toBe(true);
    expect(db.pragma("wal_autocheckpoint", { simple: true })).toBe(1000);
    expect(db.prepare("select revision from device").pluck().get()).toBe(1);
    const again = await deviceOf({ database: db });
    expect(await again.get("sessions", bytes("a"))).toEqual(bytes("1"));
  });

  it("is refused and kept where it has tables of its own", async () => {
    const db = database();
    db.exec("create table customer (name text)");
    expect(await refusal({ database: db })).toMatch(/^ERR_KEY_STORE_CORRUPT: .*belongs to another program/);
    expect(db.prepare("select name from sqlite_schema").pluck().all()).toEqual(["customer"]);
    expect(db.pragma("journal_mode", { simple: true })).toBe("delete");
  });

  it("is made a key store once by two stores that begin together", async () => {
    const db = database();
    const [first, second] = await Promise.all([readyStore({ database: db }), readyStore({ database: db })]);
    await (await openDevice(first)).commit([put("a", "1")]);
    expect(await second.listDevices()).toMatchObject([{ revision: 1n, records: 1 }]);
  });

  it("waits for a transaction of its owner, and does not join it", async () => {
    const db = database();
    const device = await deviceOf({ database: db });
    db.exec("begin");
    const commit = device.commit([put("a", "1")]);
    await new Promise(setImmediate);
    db.exec("rollback");
    await commit;
    expect(await device.get("sessions", bytes("a"))).toEqual(bytes("1"));
    expect(db.prepare("select count(*) from record").pluck().get()).toBe(1);
  });

  it("is unavailable once its owner has closed it", async () => {
    const db = database();
    const store = await readyStore({ database: db, commitTimeoutMs: 100, operationTimeoutMs: 100 });
    const device = await openDevice(store);
    db.close();
    await expect(device.commit([put("a", "1")])).rejects.toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE" });
    expect(await store.init()).toBe(false);
  });
});

it("refuses a database that hands numbers out as bigints, and names the setting", async () => {
  const path = newPath();
  await (await readyStore(path)).close();
  for (const at of [path, newPath()]) {
    expect(await refusal({ database: database(at).defaultSafeIntegers(true) })).toMatch(
      /^ERR_KEY_STORE_CONFIG: .*defaultSafeIntegers\(true\)/,
    );
  }
});

describe("the lease of a device", () => {
  it("is over at once where its process is gone, or has passed its number on", async () => {
    const path = newPath();
    const first = await readyStore({ path, heartbeat: false });
    const db = database(path);
    const device = await openDevice(first);
    const rival = await readyStore(path);
    await expect(rival.openDevice(DEVICE, { lease: "fail" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_LEASE_HELD",
    });
    // No process has this number: it is above the greatest there can be.
    db.exec("update process set pid = 5000000");
    const second = await openDevice(rival);
    expect(second.epoch).toBe(device.epoch + 1n);
    // Nobody in this thread opened this one, so another has, or an earlier process with the same number.
    db.prepare("update process set pid = ?").run(process.pid);
    db.exec("update device set holder = 'somebody else'");
    await expect(first.openDevice(DEVICE, { lease: "fail" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_LEASE_HELD",
      holder: { id: "somebody else", pid: process.pid },
    });
    db.prepare("update process set renewed_at = ?").run(Math.floor(performance.timeOrigin) - 1_000);
    expect((await openDevice(first)).epoch).toBe(second.epoch + 1n);
  });

  it("is kept from another thread of its process", async () => {
    const path = newPath();
    const device = await openDevice(await readyStore(path));
    const worker = new Worker(new URL("worker.ts", import.meta.url), { workerData: path });
    const [answer] = await once(worker, "message");
    await worker.terminate();
    expect(answer).toBe("ERR_KEY_STORE_LEASE_HELD");
    await device.commit([put("a", "1")]);
    expect(device.revision).toBe(1n);
  });

  it("of a process on another host lasts until its time limit", async () => {
    const path = newPath();
    const store = await readyStore({ path, heartbeat: false });
    const db = database(path);
    await openDevice(store);
    db.exec("update process set host = 'another.example.org', pid = 5000000");
    const rival = await readyStore(path);
    await expect(rival.openDevice(DEVICE, { lease: "fail" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_LEASE_HELD",
      holder: { host: "another.example.org" },
    });
    db.exec("update process set expires_at = 0");
    expect((await openDevice(rival)).epoch).toBe(2n);
  });

  it("is renewed by a timer, and without one by commits", async () => {
    const path = newPath();
    const beating = await readyStore({ path, leaseMs: 150 });
    const db = database(path);
    const expiry = () => db.prepare("select max(expires_at) from process").pluck().get() as number;
    await openDevice(beating);
    db.exec("update process set expires_at = 0");
    await expect.poll(expiry, { interval: 10 }).toBeGreaterThan(Date.now());
    await beating.close();

    const silent = await readyStore({ path, leaseMs: 60_000, heartbeat: false });
    const device = await openDevice(silent);
    db.exec("update process set expires_at = 0");
    await device.commit([put("a", "1")]);
    expect(expiry()).toBeGreaterThan(Date.now());
  });

  it("is given back later where it could not be, though its process goes on with another device", async () => {
    const path = newPath();
    const store = await readyStore({ path, leaseMs: 300, busyTimeoutMs: 0, operationTimeoutMs: 100 });
    const db = database(path);
    const device = await openDevice(store);
    const kept = await store.openDevice({ ...DEVICE, deviceId: "KEPT" });
    db.exec("begin immediate");
    await device.close();
    const holders = () => db.prepare("select holder is null from device order by id").pluck().all();
    expect(holders()).toEqual([0, 0]);
    db.exec("rollback");
    await expect.poll(holders, { interval: 10 }).toEqual([1, 0]);
    await kept?.commit([put("a", "1")]);
    expect(kept?.revision).toBe(1n);
  });

  it("leaves no row behind when its store is closed", async () => {
    const path = newPath();
    const store = await readyStore(path);
    await openDevice(store);
    await store.close();
    expect(database(path).prepare("select count(*) from process").pluck().get()).toBe(0);
  });
});

it("does not read another device by the id of one that was deleted", async () => {
  const path = newPath();
  const old = await deviceOf({ path, cacheBytes: 0 });
  await old.commit([put("a", "old")]);
  const rival = await readyStore(path);
  await (await openDevice(rival, { lease: "take-over" })).close();
  expect(await rival.deleteDevice(DEVICE)).toBe(true);
  const other = await rival.openDevice({ ...DEVICE, deviceId: "OTHER" });
  await other?.commit([put("a", "other")]);
  expect(await old.get("sessions", bytes("a"))).toBeUndefined();
  await expect(old.commit([put("a", "late")])).rejects.toMatchObject({ code: "ERR_KEY_STORE_FENCED" });
});

it("makes no directory for a path that already has one", async () => {
  const parent = directory();
  mkdirSync(join(parent, "data"), { mode: 0o755 });
  await readyStore(join(parent, "data", "keys.db"));
  expect(mode(join(parent, "data"))).toBe("755");
});
