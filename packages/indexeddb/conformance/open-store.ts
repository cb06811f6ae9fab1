import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeviceStore, KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import type { FileRun } from "./protocol.ts";

/** A device in a new, empty store, which is gone with this process. */
export async function openStore({ store, url }: FileRun): Promise<DeviceStore> {
  const keyStore = newStore(store, url);
  if (!(await keyStore.init())) throw new Error(`the store is not ready: ${JSON.stringify(keyStore.status)}`);
  const device = await keyStore.openDevice({ userId: "@suite:example.org", deviceId: "SUITE" });
  if (device === null) throw new Error("the device was not opened");
  return device;
}

function newStore(store: FileRun["store"], url: string | undefined): KeyStore {
  switch (store) {
    case "memory":
      return new MemoryKeyStore();
    case "sqlite": {
      const directory = mkdtempSync(join(tmpdir(), "conformance-"));
      process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
      return new SqliteKeyStore({ path: join(directory, "keys.sqlite") });
    }
    case "postgres":
      if (url === undefined) throw new Error("there is no database to run on");
      return new PostgresKeyStore(url);
  }
}
