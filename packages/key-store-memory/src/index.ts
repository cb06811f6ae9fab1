export { MemoryDriver } from "./driver.ts";
export { MemoryKeyStore, type MemoryKeyStoreOptions } from "./memory-key-store.ts";
export { MemoryStorage } from "./storage.ts";
