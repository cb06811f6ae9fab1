export type { SqliteDatabase, SqliteDurability, SqliteKeyStoreOptions } from "./options.ts";
export { SqliteKeyStore } from "./sqlite-key-store.ts";
