import { type Change, EMPTY, type RecordReader } from "@holdfast/key-store-core";
import { fromKey } from "../keys/decode.ts";
import { toKey } from "../keys/encode.ts";
import type { KeyPath } from "../keys/key-path.ts";
import { StoreLock } from "../transaction/scheduler.ts";
import { clone } from "../values/clone.ts";
import { decodeValue } from "../values/decode.ts";
import { encodeValue } from "../values/encode.ts";
import { CATALOG } from "./names.ts";
import type { DatabaseSchema, IndexSchema, StoreSchema } from "./schema.ts";
import {
  byName,
  malformedCatalog,
  readBoolean,
  readCollection,
  readGenerator,
  readList,
  readName,
  readNumber,
  readObject,
  readPath,
  type StoredDatabase,
  type StoredIndex,
  type StoredStore,
  storedName,
  storedPath,
} from "./stored-catalog.ts";

/*
 * The catalog is a collection with these records; keys are IndexedDB's, values
 * those of an object store:
 *
 *   ["database", id]            the database, its object stores and indexes
 *   ["generator", id, storeId]  the current number of a key generator
 *   ["next"]                    the id of the next database
 */

/** What a device store's catalog holds. */
export interface Catalog {
  readonly databases: Map<string, DatabaseSchema>;
  readonly nextDatabaseId: number;
}

const PAGE = 500;

/**
 * Reads the whole catalog: names and versions, no records.
 *
 * @throws `DataError` or MalformedKeyError where it is not what was written
 */
export async function readCatalog(reader: RecordReader): Promise<Catalog> {
  const byId = new Map<unknown, DatabaseSchema>();
  let nextDatabaseId = 1;
  for (let after: Uint8Array = EMPTY; ; ) {
    const records = await reader.list(CATALOG, { gt: after }, { limit: PAGE });
    for (const { key, value } of records) {
      const [kind, id, storeId] = readList(fromKey(key));
      const stored = decodeValue(value);
      if (kind === "next") nextDatabaseId = readNumber(stored);
      else if (kind === "database") byId.set(id, restoreDatabase(readNumber(id), stored));
      else if (kind === "generator") {
        const nextKey = readGenerator(stored);
        // "database" sorts before "generator": the store is known by now.
        for (const store of byId.get(id)?.stores.values() ?? []) if (store.id === storeId) store.nextKey = nextKey;
      } else throw malformedCatalog("an entry is of no known kind");
      after = key;
    }
    if (records.length < PAGE) break;
  }
  const schemas = [...byId.values()];
  if (schemas.some(({ id }) => id >= nextDatabaseId)) throw malformedCatalog("the id of a database is yet to be given");
  return { databases: byName(schemas), nextDatabaseId };
}

/** The change that writes a database's entry. */
export function databaseChange(schema: DatabaseSchema): Change {
  return change(["database", schema.id], {
    name: storedName(schema.name),
    version: schema.version,
    nextId: schema.nextId,
    stores: Array.from(schema.stores.values(), storedStore),
  } satisfies StoredDatabase);
}

/** The change that writes which id the next database gets. */
export function nextDatabaseChange(id: number): Change {
  return change(["next"], id);
}

/** The change that writes a key generator's current number. */
export function generatorChange(databaseId: number, store: StoreSchema): Change {
  return change(["generator", databaseId, store.id], store.nextKey);
}

export function generatorRemoval(databaseId: number, storeId: number): Change {
  return { type: "delete", collection: CATALOG, key: catalogKey(["generator", databaseId, storeId]) };
}

/** The changes that delete a database with all it has. */
export function databaseRemoval(schema: DatabaseSchema): Change[] {
  const changes: Change[] = [{ type: "delete", collection: CATALOG, key: catalogKey(["database", schema.id]) }];
  for (const store of schema.stores.values()) {
    changes.push(generatorRemoval(schema.id, store.id), ...storeRemoval(store));
  }
  return changes;
}

/** The changes that delete an object store's records and indexes. */
export function storeRemoval(store: StoreSchema): Change[] {
  const collections = [store.collection, ...Array.from(store.indexes.values(), (index) => index.collection)];
  return collections.map((collection) => ({ type: "dropCollection", collection }));
}

function change(key: (string | number)[], value: unknown): Change {
  const encoded = encodeValue(clone(value));
  if (encoded instanceof Promise) throw new TypeError("the catalog holds no attachments");
  return { type: "put", collection: CATALOG, key: catalogKey(key), value: encoded };
}

function catalogKey(key: (string | number)[]): Uint8Array {
  return toKey(key) as Uint8Array; // lists of strings and numbers are keys
}

function storedStore(store: StoreSchema): StoredStore {
  const { id, collection, autoIncrement, keyPath } = store;
  return {
    id,
    name: storedName(store.name),
    collection,
    keyPath: keyPath === null ? null : storedPath(keyPath),
    composite: isComposite(keyPath),
    autoIncrement,
    indexes: Array.from(store.indexes.values(), storedIndex),
  };
}

function storedIndex(index: IndexSchema): StoredIndex {
  const { collection, keyPath, unique, multiEntry } = index;
  return {
    name: storedName(index.name),
    collection,
    keyPath: storedPath(keyPath),
    composite: isComposite(keyPath),
    unique,
    multiEntry,
  };
}

function restoreDatabase(id: number, value: unknown): DatabaseSchema {
  const stored = readObject(value);
  const nextId = readNumber(stored.nextId);
  const stores = readList(stored.stores).map((store) => restoreStore(id, store));
  if (stores.some((store) => store.id >= nextId)) throw malformedCatalog("the id of a store is yet to be given");
  return {
    id,
    name: readName(stored.name),
    version: readNumber(stored.version),
    nextId,
    stores: byName(stores),
  };
}

function restoreStore(databaseId: number, value: unknown): StoreSchema {
  const stored = readObject(value);
  const id = readNumber(stored.id);
  const composite = readBoolean(stored.composite);
  return {
    id,
    name: readName(stored.name),
    collection: readCollection(stored.collection, databaseId, id, false),
    keyPath: stored.keyPath === null ? null : readPath(stored.keyPath, composite),
    autoIncrement: readBoolean(stored.autoIncrement),
    indexes: byName(readList(stored.indexes).map((index) => restoreIndex(databaseId, id, index))),
    nextKey: 1,
    deleted: false,
    lock: new StoreLock(),
  };
}

function restoreIndex(databaseId: number, storeId: number, value: unknown): IndexSchema {
  const stored = readObject(value);
  return {
    name: readName(stored.name),
    collection: readCollection(stored.collection, databaseId, storeId, true),
    keyPath: readPath(stored.keyPath, readBoolean(stored.composite)),
    unique: readBoolean(stored.unique),
    multiEntry: readBoolean(stored.multiEntry),
    deleted: false,
  };
}

function isComposite(path: KeyPath | null): boolean {
  return typeof path === "object" && path !== null;
}
