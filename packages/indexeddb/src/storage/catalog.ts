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

/*
 * The catalog is a collection with these records; keys are IndexedDB's, values
 * those of an object store:
 *
 *   ["database", id]            the database, its object stores and indexes
 *   ["generator", id, storeId]  the current number of a key generator
 *   ["next"]                    the id of the next database
 *
 * Names may be any UTF-16: one that is no well-formed string is written as its
 * code units.
 */
type StoredName = string | readonly number[];

interface StoredIndex {
  readonly name: StoredName;
  readonly collection: string;
  readonly keyPath: StoredName | readonly StoredName[];
  readonly composite: boolean;
  readonly unique: boolean;
  readonly multiEntry: boolean;
}

interface StoredStore {
  readonly id: number;
  readonly name: StoredName;
  readonly collection: string;
  readonly keyPath: StoredName | readonly StoredName[] | null;
  readonly composite: boolean;
  readonly autoIncrement: boolean;
  readonly indexes: readonly StoredIndex[];
}

interface StoredDatabase {
  readonly name: StoredName;
  readonly version: number;
  readonly nextId: number;
  readonly stores: readonly StoredStore[];
}

/** What a device store's catalog holds. */
export interface Catalog {
  readonly databases: Map<string, DatabaseSchema>;
  nextDatabaseId: number;
}

const PAGE = 500;

/**
 * Reads the whole catalog: names and versions, no records.
 *
 * @throws `DataError` where it is not what was written
 */
export async function readCatalog(reader: RecordReader): Promise<Catalog> {
  const catalog: Catalog = { databases: new Map(), nextDatabaseId: 1 };
  const byId = new Map<unknown, DatabaseSchema>();
  for (let after: Uint8Array = EMPTY; ; ) {
    const records = await reader.list(CATALOG, { gt: after }, { limit: PAGE });
    for (const { key, value } of records) {
      const [kind, id, storeId] = fromKey(key) as unknown[];
      const stored = decodeValue(value);
      if (kind === "next") catalog.nextDatabaseId = stored as number;
      else if (kind === "database") {
        const schema = restoreDatabase(id as number, stored as StoredDatabase);
        byId.set(id, schema);
        catalog.databases.set(schema.name, schema);
      } else if (kind === "generator") {
        // "database" sorts before "generator": the store is known by now.
        for (const store of byId.get(id)?.stores.values() ?? []) {
          if (store.id === storeId) store.nextKey = stored as number;
        }
      }
      after = key;
    }
    if (records.length < PAGE) return catalog;
  }
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

function restoreDatabase(id: number, stored: StoredDatabase): DatabaseSchema {
  const stores = stored.stores.map(restoreStore);
  return {
    id,
    name: restoreName(stored.name),
    version: stored.version,
    nextId: stored.nextId,
    stores: new Map(stores.map((store) => [store.name, store])),
  };
}

function restoreStore(stored: StoredStore): StoreSchema {
  const { id, collection, autoIncrement, keyPath, composite } = stored;
  const indexes = stored.indexes.map((index) => restoreIndex(index));
  return {
    id,
    name: restoreName(stored.name),
    collection,
    keyPath: keyPath === null ? null : restorePath(keyPath, composite),
    autoIncrement,
    indexes: new Map(indexes.map((index) => [index.name, index])),
    nextKey: 1,
    deleted: false,
    lock: new StoreLock(),
  };
}

function restoreIndex(stored: StoredIndex): IndexSchema {
  const { collection, unique, multiEntry } = stored;
  const keyPath = restorePath(stored.keyPath, stored.composite);
  return { name: restoreName(stored.name), collection, keyPath, unique, multiEntry, deleted: false };
}

function isComposite(path: KeyPath | null): boolean {
  return typeof path === "object" && path !== null;
}

function storedPath(path: KeyPath): StoredName | StoredName[] {
  return typeof path === "string" ? storedName(path) : path.map(storedName);
}

function restorePath(path: StoredName | readonly StoredName[], composite: boolean): KeyPath {
  return composite ? (path as readonly StoredName[]).map(restoreName) : restoreName(path as StoredName);
}

function storedName(name: string): StoredName {
  if (name.isWellFormed()) return name;
  return Array.from({ length: name.length }, (_, index) => name.charCodeAt(index));
}

function restoreName(name: StoredName): string {
  return typeof name === "string" ? name : name.map((unit) => String.fromCharCode(unit)).join("");
}
