import { indexedDB } from "./factory.ts";
import { DOMStringList } from "./idl/dom-string-list.ts";
import { IDBCursor, IDBCursorWithValue } from "./idl/idb-cursor.ts";
import { IDBDatabase } from "./idl/idb-database.ts";
import { IDBFactory } from "./idl/idb-factory.ts";
import { IDBIndex } from "./idl/idb-index.ts";
import { IDBKeyRange } from "./idl/idb-key-range.ts";
import { IDBObjectStore } from "./idl/idb-object-store.ts";
import { IDBRecord } from "./idl/idb-record.ts";
import { IDBOpenDBRequest, IDBRequest } from "./idl/idb-request.ts";
import { IDBTransaction } from "./idl/idb-transaction.ts";
import { IDBVersionChangeEvent } from "./idl/idb-version-change-event.ts";

const INTERFACES = {
  DOMStringList,
  IDBCursor,
  IDBCursorWithValue,
  IDBDatabase,
  IDBFactory,
  IDBIndex,
  IDBKeyRange,
  IDBObjectStore,
  IDBOpenDBRequest,
  IDBRecord,
  IDBRequest,
  IDBTransaction,
  IDBVersionChangeEvent,
} as const;

/** What stood on an object before each installation on it, the latest last. */
const installations = new WeakMap<object, Map<string, PropertyDescriptor | undefined>[]>();

/**
 * Puts `indexedDB` and the `IDB*` interfaces on an object, where programs look
 * for them. Another implementation that is there already is replaced until
 * {@link uninstall}, which each call needs one of.
 *
 * @param target default: `globalThis`
 * @param factory what becomes `indexedDB`. Default: the factory of all mounts
 */
export function install(target: object = globalThis, factory: IDBFactory = indexedDB): void {
  const before = new Map<string, PropertyDescriptor | undefined>();
  const define = (name: string, descriptor: PropertyDescriptor): void => {
    before.set(name, Object.getOwnPropertyDescriptor(target, name));
    Object.defineProperty(target, name, { ...descriptor, configurable: true });
  };
  // A getter, as in a browser, made so that it has the name that Web IDL gives it.
  const { get } = Object.getOwnPropertyDescriptor(
    {
      get indexedDB(): IDBFactory {
        // As a global it is also asked for without an object before it.
        if (this !== undefined && this !== null && (this as object) !== target)
          throw new TypeError("Illegal invocation");
        return factory;
      },
    },
    "indexedDB",
  ) as { get: () => IDBFactory };
  define("indexedDB", { get, enumerable: true });
  for (const [name, value] of Object.entries(INTERFACES)) define(name, { value, writable: true, enumerable: false });
  const earlier = installations.get(target);
  if (earlier === undefined) installations.set(target, [before]);
  else earlier.push(before);
}

/**
 * Takes out what the last {@link install} put on an object, and puts back what
 * was there before. Does nothing where nothing is installed.
 *
 * @param target default: `globalThis`
 */
export function uninstall(target: object = globalThis): void {
  const before = installations.get(target)?.pop();
  if (before === undefined) return;
  for (const [name, descriptor] of before) {
    if (descriptor === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, descriptor);
  }
}
