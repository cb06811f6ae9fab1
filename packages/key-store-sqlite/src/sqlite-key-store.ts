import { DriverKeyStore } from "@holdfast/key-store-core";
import { SqliteDriver } from "./driver.ts";
import type { SqliteKeyStoreOptions } from "./options.ts";

/**
 * A key store in one SQLite file on a local disk, for one machine. Several
 * processes may have the file open; each device has one writer.
 *
 * @throws `ERR_KEY_STORE_CONFIG` for options that are malformed
 */
export class SqliteKeyStore extends DriverKeyStore {
  /** @param options the options, or the path alone */
  constructor(options: SqliteKeyStoreOptions | string) {
    const complete = typeof options === "string" ? { path: options } : options;
    super(new SqliteDriver(complete), complete);
  }
}
