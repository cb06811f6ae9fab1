import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeviceStore, KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { onTestFinished } from "vitest";

const DEVICE = { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" };

/** Where a device is kept for the length of a test. */
export interface Place {
  /** Opens the device; closes first what an earlier call opened, so that nothing but the store can remember. */
  open(): Promise<DeviceStore>;
}

/** A place in this process's memory: the key store stays, the device store is another each time. */
function inMemory(): Place {
  const keyStore = new MemoryKeyStore();
  return placeOf(() => keyStore);
}

/** A place in a file: each opening has a key store of its own. */
function inSqlite(): Place {
  const directory = mkdtempSync(join(tmpdir(), "indexeddb-peers-"));
  // Hooks run last in, first out: the store is closed by then.
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return placeOf(() => new SqliteKeyStore(join(directory, "keys.db")));
}

/** The places that a peer has to work on, by name. */
export const places: readonly (readonly [name: string, place: () => Place])[] = [
  ["memory", inMemory],
  ["SQLite", inSqlite],
];

function placeOf(keyStoreOfOpening: () => KeyStore): Place {
  let current: { readonly keyStore: KeyStore; readonly device: DeviceStore } | undefined;
  onTestFinished(async () => {
    await current?.device.close();
    await current?.keyStore.close();
  });
  return {
    async open() {
      await current?.device.close();
      const keyStore = keyStoreOfOpening();
      if (current !== undefined && current.keyStore !== keyStore) await current.keyStore.close();
      if (!(await keyStore.init())) throw new Error(`the store is not ready: ${JSON.stringify(keyStore.status)}`);
      const device = await keyStore.openDevice(DEVICE, { lease: "fail" });
      if (device === null) throw new Error("the store is not ready");
      current = { keyStore, device };
      return device;
    },
  };
}
