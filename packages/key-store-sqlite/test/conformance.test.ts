import { join } from "node:path";
import { type ConformancePlace, type ConformanceSubject, keyStoreConformance } from "@holdfast/key-store-conformance";
import Database from "better-sqlite3";
import { afterAll, describe, it } from "vitest";
import { SqliteDriver } from "../src/driver.ts";
import { SqliteKeyStore } from "../src/index.ts";
import { newDirectory, pathBelowFile, removeDirectory } from "./place.ts";

interface Place extends ConformancePlace {
  readonly path: string;
}

const scratch = newDirectory();
afterAll(() => removeDirectory(scratch));
const nowhere = pathBelowFile(scratch);

const sqlite: ConformanceSubject<Place> = {
  async create() {
    const directory = newDirectory();
    const path = join(directory, "keys.db");
    return {
      path,
      open: (options) => new SqliteKeyStore({ ...options, path }),
      driver: () => new SqliteDriver({ path }),
      async dispose() {
        removeDirectory(directory);
      },
    };
  },
  unavailable: (options) => new SqliteKeyStore({ ...options, path: nowhere }),
  async expireLeases({ path }) {
    const db = new Database(path);
    db.exec("update process set expires_at = 0");
    db.close();
  },
};

describe("without a cache", () => {
  for (const test of keyStoreConformance(sqlite, { cacheBytes: 0 })) it(test.name, test.run, test.timeoutMs);
});

describe("with a cache", () => {
  for (const test of keyStoreConformance(sqlite, { cacheBytes: 1 << 20 })) it(test.name, test.run, test.timeoutMs);
});
