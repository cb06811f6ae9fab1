import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type ConformancePlace, type ConformanceSubject, keyStoreConformance } from "@holdfast/key-store-conformance";
import { describe, it } from "vitest";
import { NodeSqliteDriver, NodeSqliteKeyStore } from "../src/index.ts";

interface Place extends ConformancePlace {
  readonly path: string;
}

const subject: ConformanceSubject<Place> = {
  async create() {
    const directory = mkdtempSync(join(tmpdir(), "holdfast-example-"));
    const path = join(directory, "keys.sqlite");
    return {
      path,
      open: (options) => new NodeSqliteKeyStore(path, options),
      driver: () => new NodeSqliteDriver(path),
      dispose: async () => rmSync(directory, { recursive: true }),
    };
  },
  async expireLeases({ path }) {
    const db = new DatabaseSync(path);
    db.exec("update device set lease_until = 0");
    db.close();
  },
  unavailable: (options) => new NodeSqliteKeyStore("/no/such/directory/keys.sqlite", options),
};

describe.each([0, 1 << 20])("the example adapter with a cache of %i bytes", (cacheBytes) => {
  for (const test of keyStoreConformance(subject, { cacheBytes })) it(test.name, test.run, test.timeoutMs);
});
