import { type ConformancePlace, type ConformanceSubject, keyStoreConformance } from "@holdfast/key-store-conformance";
import { describe, it } from "vitest";
import { MemoryDriver } from "../src/driver.ts";
import { MemoryKeyStore, MemoryStorage } from "../src/index.ts";

interface Place extends ConformancePlace {
  readonly storage: MemoryStorage;
}

const memory: ConformanceSubject<Place> = {
  async create() {
    const storage = new MemoryStorage();
    return {
      storage,
      open: (options) => new MemoryKeyStore({ ...options, storage }),
      driver: () => new MemoryDriver(storage),
      async dispose() {},
    };
  },
  // A lease in memory lasts as long as the driver that took it.
  async expireLeases({ storage }) {
    storage.detachAll();
  },
};

describe("without a cache", () => {
  for (const test of keyStoreConformance(memory, { cacheBytes: 0 })) it(test.name, test.run, test.timeoutMs);
});

describe("with a cache", () => {
  for (const test of keyStoreConformance(memory, { cacheBytes: 1 << 20 })) it(test.name, test.run, test.timeoutMs);
});
