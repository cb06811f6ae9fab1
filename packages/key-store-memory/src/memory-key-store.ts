import { DriverKeyStore, KeyStoreError, type KeyStoreOptions } from "@holdfast/key-store-core";
import { MemoryDriver } from "./driver.ts";
import { MemoryStorage } from "./storage.ts";

/** What a {@link MemoryKeyStore} takes. */
export interface MemoryKeyStoreOptions extends KeyStoreOptions {
  /** Where the devices are kept: stores that share one see the same devices. Default: one of its own. */
  readonly storage?: MemoryStorage | undefined;
}

/**
 * A key store whose devices are gone with the process. Leases, epochs, the
 * guard of every commit and the counters are those of the durable stores. It
 * keeps no read cache unless `cacheBytes` asks for one: the records are in
 * memory already.
 *
 * @throws `ERR_KEY_STORE_CONFIG` for options that are malformed
 */
export class MemoryKeyStore extends DriverKeyStore {
  constructor(options: MemoryKeyStoreOptions = {}) {
    if (typeof options !== "object" || options === null) {
      throw new KeyStoreError("ERR_KEY_STORE_CONFIG", "MemoryKeyStore takes an object of options, or nothing");
    }
    const { storage = new MemoryStorage(), cacheBytes = 0 } = options;
    if (!(storage instanceof MemoryStorage)) {
      throw new KeyStoreError("ERR_KEY_STORE_CONFIG", "the key store option storage must be a MemoryStorage");
    }
    super(new MemoryDriver(storage), { ...options, cacheBytes });
  }
}
