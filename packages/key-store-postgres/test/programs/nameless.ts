import { isKeyStoreError } from "@holdfast/key-store-core";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../../src/index.ts";

// Makes stores as a user that the system has no name for, as containers run programs.
function made(options: PostgresKeyStoreOptions): unknown {
  try {
    new PostgresKeyStore(options);
    return "made";
  } catch (error) {
    return isKeyStoreError(error) ? [error.code, error.message] : String(error);
  }
}

process.setuid?.(54_321);
console.log(JSON.stringify([made({ host: "localhost", database: "keys" }), made({ host: "localhost", user: "bot" })]));
