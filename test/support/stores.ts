import assert from "node:assert/strict";
import {
  DriverKeyStore,
  isKeyStoreError,
  type KeyStore,
  type KeyStoreOptions,
} from "../../packages/key-store-core/src/index.ts";
import { MemoryDriver } from "../../packages/key-store-memory/src/driver.ts";
import { MemoryStorage } from "../../packages/key-store-memory/src/index.ts";
import { PostgresDriver } from "../../packages/key-store-postgres/src/driver.ts";
import { postgresPlan } from "../../packages/key-store-postgres/src/options.ts";
import { SqliteDriver } from "../../packages/key-store-sqlite/src/driver.ts";
import { type Watch, watched } from "./mortal.ts";

/** Where a store is: a path of SQLite, an address of PostgreSQL, or a piece of memory. */
export type Place = string | MemoryStorage;

/** The lease time of every store here, in milliseconds. */
const LEASE_MS = 2_000;

/** A key store that is ready, every call of whose driver goes through `watch`. */
export async function storeAt(
  place: Place,
  watch: Watch = (attempt) => attempt(),
  options: KeyStoreOptions = {},
): Promise<KeyStore> {
  const store = new DriverKeyStore(watched(driverAt(place), watch), options);
  assert.equal(await store.init(), true, JSON.stringify(store.status));
  return store;
}

function driverAt(place: Place) {
  if (place instanceof MemoryStorage) return new MemoryDriver(place);
  if (place.startsWith("postgres:")) {
    return new PostgresDriver(postgresPlan({ url: place, leaseMs: LEASE_MS }));
  }
  return new SqliteDriver({ path: place, leaseMs: LEASE_MS });
}

const COLLECTIONS = ["account", "sessions", "settings"];
const RECORDS = 400;

function records(): { collection: string; key: Uint8Array; value: Uint8Array }[] {
  return Array.from({ length: RECORDS }, (_, at) => ({
    collection: COLLECTIONS[at % COLLECTIONS.length] ?? "",
    key: Uint8Array.of(at >> 8, at & 255),
    value: new Uint8Array(at).fill(at & 255),
  }));
}

/** Makes a device with some hundred records. */
export async function fill(store: KeyStore, deviceId: string): Promise<void> {
  const device = await store.openDevice({ userId: "@bot:example.org", deviceId });
  await device?.commit(records().map((record) => ({ type: "put", ...record })));
  await device?.close();
}

/** Whether a store opens the device, which then has to be whole; a process that was killed may have it. */
export async function opensWhole(store: KeyStore, deviceId: string): Promise<boolean> {
  const ref = { userId: "@bot:example.org", deviceId };
  try {
    const device = await store.openDevice(ref, { create: "never", lease: "take-over" });
    assert.ok(device !== null);
    for (const { collection, key, value } of records()) assert.deepEqual(await device.get(collection, key), value);
    await device.close();
  } catch (error) {
    const codes = ["ERR_KEY_STORE_MOVING", "ERR_KEY_STORE_MOVED", "ERR_KEY_STORE_DEVICE_NOT_FOUND"] as const;
    if (codes.some((code) => isKeyStoreError(error, code))) return false;
    throw error;
  }
  const summary = (await store.listDevices()).find((device) => device.deviceId === deviceId);
  assert.equal(summary?.records, RECORDS);
  return true;
}
