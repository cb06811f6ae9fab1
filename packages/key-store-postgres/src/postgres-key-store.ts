import { DriverKeyStore } from "@holdfast/key-store-core";
import { PostgresDriver } from "./driver.ts";
import { type PostgresKeyStoreOptions, postgresPlan } from "./options.ts";

/** A `KeyStore` in a PostgreSQL database: durable, and shared by every process that can reach it. */
export class PostgresKeyStore extends DriverKeyStore {
  /**
   * Does no I/O: `init()` connects.
   *
   * @param options the options, or the connection URL alone
   * @throws `ERR_KEY_STORE_CONFIG` for a malformed URL, an option out of its range, or options that exclude each other
   */
  constructor(options: PostgresKeyStoreOptions | string) {
    super(new PostgresDriver(postgresPlan(options)), typeof options === "string" ? {} : options);
  }
}
