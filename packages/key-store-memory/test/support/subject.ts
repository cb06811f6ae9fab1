import type { ConformancePlace, ConformanceSubject } from "@holdfast/key-store-core/conformance";
import { MemoryDriver } from "../../src/driver.ts";
import { MemoryKeyStore, MemoryStorage } from "../../src/index.ts";

/** One memory, and the drivers that are the processes on it. */
export interface MemoryPlace extends ConformancePlace {
  readonly storage: MemoryStorage;
  readonly drivers: MemoryDriver[];
}

/** The memory store as the conformance suite takes it. */
export const memorySubject: ConformanceSubject<MemoryPlace> = {
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
