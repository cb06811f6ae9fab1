export type { PostgresKeyStoreOptions } from "./options.ts";
export { PostgresKeyStore } from "./postgres-key-store.ts";
