import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "@holdfast/dev-postgres";
import type { KeyStoreDriver } from "@holdfast/key-store-core";
import { MemoryStorage } from "@holdfast/key-store-memory";
import { MemoryDriver } from "../../../key-store-memory/src/driver.ts";
import { PostgresDriver } from "../../../key-store-postgres/src/driver.ts";
import { postgresPlan } from "../../../key-store-postgres/src/options.ts";
import { SqliteDriver } from "../../../key-store-sqlite/src/driver.ts";

/** One storage that outlives the key stores on it. */
export interface Place extends AsyncDisposable {
  /** What it is called in the names of tests. */
  readonly name: string;
  /** A driver of its own on this storage: what the adapter gives to the core. */
  driver(): KeyStoreDriver;
  /** The read cache that stores on it have, in bytes: the adapter's own default. */
  readonly cacheBytes: number | undefined;
}

export async function memoryPlace(): Promise<Place> {
  const storage = new MemoryStorage();
  return {
    name: "memory",
    driver: () => new MemoryDriver(storage),
    cacheBytes: 0,
    [Symbol.asyncDispose]: async () => {},
  };
}

export async function sqlitePlace(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-cut-"));
  return {
    name: "SQLite",
    driver: () => new SqliteDriver({ path: join(directory, "keys.sqlite") }),
    cacheBytes: undefined,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

export async function postgresPlace(): Promise<Place> {
  const server = await startPostgres();
  const url = await server.createDatabase();
  return {
    name: "PostgreSQL",
    driver: () => new PostgresDriver(postgresPlan({ url, maxConnections: 2 })),
    cacheBytes: undefined,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
