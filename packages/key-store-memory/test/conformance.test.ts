import {
  type ConformancePlace,
  type ConformanceSubject,
  keyStoreConformance,
} from "@holdfast/key-store-core/conformance";
import { describe, it } from "vitest";
import { MemoryDriver } from "../src/driver.ts";
import { MemoryKeyStore, MemoryStorage } from "../src/index.ts";

interface Place extends ConformancePlace {
  readonly storage: MemoryStorage;
  readonly drivers: readonly MemoryDriver[];
}

const memory: ConformanceSubject<Place> = {
  async create() {
    const storage = new MemoryStorage();
    const drivers: MemoryDriver[] = [];
    return {
      storage,
      drivers,
      open: (options) => new MemoryKeyStore({ ...options, storage }),
      driver() {
        const driver = new MemoryDriver(storage);
        drivers.push(driver);
        return driver;
      },
      async dispose() {},
    };
  },
  // A lease in memory lasts as long as the driver that took it.
  async expireLeases({ storage, drivers }) {
    for (const driver of drivers) storage.detach(driver);
  },
};

describe("without a cache", () => {
  for (const test of keyStoreConformance(memory, { cacheBytes: 0 })) it(test.name, test.run, test.timeoutMs);
});

describe("with a cache", () => {
  for (const test of keyStoreConformance(memory, { cacheBytes: 1 << 20 })) it(test.name, test.run, test.timeoutMs);
});
