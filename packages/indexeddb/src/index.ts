/**
 * The Indexed Database API 3.0 on a Holdfast key store.
 *
 * @packageDocumentation
 */
export { createIndexedDB, indexedDB, mount } from "./factory.ts";
export { DOMStringList } from "./idl/dom-string-list.ts";
export { IDBCursor, IDBCursorWithValue } from "./idl/idb-cursor.ts";
export { IDBDatabase, type IDBObjectStoreParameters, type IDBTransactionOptions } from "./idl/idb-database.ts";
export { type IDBDatabaseInfo, IDBFactory } from "./idl/idb-factory.ts";
export { IDBIndex } from "./idl/idb-index.ts";
export { IDBKeyRange } from "./idl/idb-key-range.ts";
export { type IDBGetAllOptions, type IDBIndexParameters, IDBObjectStore } from "./idl/idb-object-store.ts";
export { IDBRecord } from "./idl/idb-record.ts";
export { IDBOpenDBRequest, IDBRequest } from "./idl/idb-request.ts";
export { IDBTransaction } from "./idl/idb-transaction.ts";
export { IDBVersionChangeEvent, type IDBVersionChangeEventInit } from "./idl/idb-version-change-event.ts";
export { type Installation, install, installMounts, uninstall } from "./install.ts";
export type { Mount, MountOptions } from "./mount.ts";
export type { StoreFailureHandling } from "./served-store.ts";
