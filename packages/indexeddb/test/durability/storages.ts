import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import type { Storage } from "./storage.ts";

/** What makes a new storage for the running test, by the name of its kind. */
export type NewStorage = () => Promise<Storage>;

/** The kinds of storage that outlive a process. Starts a PostgreSQL for the test file that calls it. */
export function durableStorages(): (readonly [name: Storage["kind"], newStorage: NewStorage])[] {
  let server: DevPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  return [
    ["SQLite", async () => ({ kind: "SQLite", path: newPath() })],
    ["PostgreSQL", async () => ({ kind: "PostgreSQL", url: await server.createDatabase() })],
  ];
}

/** The path of a key store that does not exist yet; its directory is removed when the running test is over. */
export function newPath(): string {
  const directory = mkdtempSync(join(tmpdir(), "indexeddb-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "keys.db");
}
