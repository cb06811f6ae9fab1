import type { DeviceDriver } from "./driver.ts";
import { toByteRange } from "./ranges.ts";
import type { KeyRange, Known, Page, RecordReader, StoredRecord } from "./records.ts";

/** Runs one read of a driver, which may be made again. */
export type ReadDriver = <T>(what: string, read: () => Promise<T>) => Promise<T>;

/** The reads of a driver, each run by its device store. */
export class DirectReader implements RecordReader {
  readonly #driver: DeviceDriver;
  readonly #read: ReadDriver;

  constructor(driver: DeviceDriver, read: ReadDriver) {
    this.#driver = driver;
    this.#read = read;
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (keys.length === 0) return [];
    return this.#read("a read", () => this.#driver.getMany(collection, keys));
  }

  peek(collection: string, key: Uint8Array): Known {
    const driver = this.#driver;
    return driver.peek === undefined ? "unknown" : driver.peek(collection, key);
  }

  list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    return this.#read("a scan", () => this.#driver.list(collection, toByteRange(range), page));
  }

  count(collection: string, range: KeyRange = {}): Promise<number> {
    return this.#read("a count", () => this.#driver.count(collection, toByteRange(range)));
  }
}
