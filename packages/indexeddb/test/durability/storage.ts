import type { DeviceStore, KeyStore } from "@holdfast/key-store-core";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";

/** Where a device is kept that outlives its process, as one process tells another. */
export type Storage =
  | { readonly kind: "SQLite"; readonly path: string }
  | { readonly kind: "PostgreSQL"; readonly url: string };

/** A device and the store that it is in, both open. */
export interface OpenDevice extends AsyncDisposable {
  readonly keyStore: KeyStore;
  readonly device: DeviceStore;
}

/** Opens the one device of a storage. Whoever had it before is dead: its lease is not waited for. */
export async function openDevice(storage: Storage): Promise<OpenDevice> {
  const keyStore = storage.kind === "SQLite" ? new SqliteKeyStore(storage.path) : new PostgresKeyStore(storage.url);
  if (!(await keyStore.init())) throw new Error(`the store is not ready: ${JSON.stringify(keyStore.status)}`);
  const device = await keyStore.openDevice(
    { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" },
    { lease: "take-over" },
  );
  if (device === null) throw new Error("the store is not ready");
  return {
    keyStore,
    device,
    async [Symbol.asyncDispose]() {
      await device.close();
      await keyStore.close();
    },
  };
}
