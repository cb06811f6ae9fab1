import type { KeyStore } from "@holdfast/key-store-core";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import type { Storage } from "./life.ts";

/** The key store on a storage, ready. */
export async function openStorage(storage: Storage): Promise<KeyStore> {
  const keyStore = storage.kind === "sqlite" ? new SqliteKeyStore(storage.path) : new PostgresKeyStore(storage.url);
  if (!(await keyStore.init())) throw new Error(`the store is not ready: ${JSON.stringify(keyStore.status)}`);
  return keyStore;
}
