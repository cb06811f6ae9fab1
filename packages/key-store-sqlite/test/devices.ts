import type { Change, DeviceStore, KeyStore, OpenDeviceOptions } from "@holdfast/key-store-core";
import { onTestFinished } from "vitest";
import { SqliteKeyStore, type SqliteKeyStoreOptions } from "../src/index.ts";

export const DEVICE = { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" };

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function put(key: string, value: string | Uint8Array, collection = "sessions"): Change {
  return { type: "put", collection, key: bytes(key), value: typeof value === "string" ? bytes(value) : value };
}

/** A store, not yet initialised, that is closed when the running test is over. */
export function newStore(options: SqliteKeyStoreOptions | string): SqliteKeyStore {
  const store = new SqliteKeyStore(options);
  onTestFinished(() => store.close());
  return store;
}

/** The same, ready. */
export async function readyStore(options: SqliteKeyStoreOptions | string): Promise<SqliteKeyStore> {
  const store = newStore(options);
  if (!(await store.init())) throw new Error(reasonOf(store));
  return store;
}

export async function openDevice(store: KeyStore, options: OpenDeviceOptions = {}): Promise<DeviceStore> {
  const device = await store.openDevice(DEVICE, { lease: "fail", ...options });
  if (device === null) throw new Error("the store is not ready");
  return device;
}

/** A device of a new store on the file. */
export async function deviceOf(options: SqliteKeyStoreOptions | string): Promise<DeviceStore> {
  return openDevice(await readyStore(options));
}

/** Why a store is unavailable, with its code before it. */
export function reasonOf({ status }: KeyStore): string {
  return status.state === "unavailable" ? `${status.code}: ${status.reason}` : status.state;
}

/** Initialises a store that cannot be used; answers with why. */
export async function refusal(options: SqliteKeyStoreOptions | string): Promise<string> {
  const store = new SqliteKeyStore(options);
  try {
    if (await store.init()) throw new Error("the store is ready");
    return reasonOf(store);
  } finally {
    await store.close();
  }
}
