import type { ConnectionState } from "../database/connection-state.ts";
import { exception } from "../errors.ts";
import type { IndexState } from "../handles/index-state.ts";
import type { ObjectStoreState } from "../handles/object-store-state.ts";
import { isValidKeyPath, type KeyPath } from "../keys/key-path.ts";
import { ApplyChanges } from "../operations/delete-records.ts";
import { PopulateIndex } from "../operations/populate-index.ts";
import { generatorRemoval, storeRemoval } from "../storage/catalog.ts";
import { collectionName } from "../storage/names.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";
import { StoreLock } from "../transaction/scheduler.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";

/*
 * What an upgrade transaction does to object stores and indexes. Each changes
 * the schema at once, says how to take that back, and places what must happen
 * to the records behind the requests that are there already.
 */

/** https://www.w3.org/TR/IndexedDB-3/#dom-idbdatabase-createobjectstore */
export function createObjectStore(
  connection: ConnectionState,
  name: string,
  keyPath: KeyPath | null,
  autoIncrement: boolean,
): ObjectStoreState {
  const transaction = upgradeOf(connection);
  transaction.requireActive();
  if (keyPath !== null && !isValidKeyPath(keyPath)) throw exception("SyntaxError", "the key path is not valid");
  const { schema } = connection.database;
  if (schema.stores.has(name)) throw exception("ConstraintError", `there is an object store "${name}" already`);
  if (autoIncrement && (keyPath === "" || (keyPath !== null && typeof keyPath !== "string"))) {
    throw exception("InvalidAccessError", "a key generator needs a key path that leads to one property");
  }
  const id = schema.nextId;
  schema.nextId += 1;
  const collection = collectionName([schema.id, id], [schema.name, name]);
  const indexes = new Map<string, IndexSchema>();
  const store: StoreSchema = {
    id,
    name,
    collection,
    keyPath,
    autoIncrement,
    indexes,
    nextKey: 1,
    deleted: false,
    lock: new StoreLock(),
  };
  schema.stores.set(name, store);
  transaction.created ??= new Set();
  transaction.created.add(store);
  transaction.changes.undoWith(() => {
    schema.stores.delete(store.name);
    store.deleted = true;
  });
  const handle = transaction.handleOf(store);
  transaction.changes.undoWith(() => {
    handle.indexes = NONE;
  });
  return handle;
}

/** https://www.w3.org/TR/IndexedDB-3/#dom-idbdatabase-deleteobjectstore */
export function deleteObjectStore(connection: ConnectionState, name: string): void {
  const transaction = upgradeOf(connection);
  transaction.requireActive();
  const { schema } = connection.database;
  const store = schema.stores.get(name);
  if (store === undefined) throw exception("NotFoundError", `there is no object store "${name}"`);
  const handle = transaction.handleOf(store);
  const { indexes } = handle;
  schema.stores.delete(name);
  store.deleted = true;
  handle.indexes = NONE;
  transaction.changes.undoWith(() => {
    schema.stores.set(name, store);
    store.deleted = false;
    handle.indexes = indexes;
  });
  transaction.place(new ApplyChanges([generatorRemoval(schema.id, store.id), ...storeRemoval(store)]), null);
}

/** https://www.w3.org/TR/IndexedDB-3/#dom-idbobjectstore-name */
export function renameObjectStore(handle: ObjectStoreState, name: string): void {
  const { store, transaction } = handle;
  if (handle.isDeleted) throw exception("InvalidStateError", "the object store was deleted");
  requireUpgrade(transaction);
  transaction.requireActive();
  if (store.name === name) return;
  const { stores } = transaction.connection.database.schema;
  if (stores.has(name)) throw exception("ConstraintError", `there is an object store "${name}" already`);
  const before = store.name;
  const move = (from: string, to: string): void => {
    stores.delete(from);
    store.name = to;
    stores.set(to, store);
  };
  move(before, name);
  handle.name = name;
  transaction.changes.undoWith(() => {
    move(name, before);
    // One that the abort takes away keeps the name that it had last.
    if (!transaction.created?.has(store)) handle.name = before;
  });
}

/** https://www.w3.org/TR/IndexedDB-3/#dom-idbobjectstore-createindex */
export function createIndex(
  handle: ObjectStoreState,
  name: string,
  keyPath: KeyPath,
  { unique, multiEntry }: { readonly unique: boolean; readonly multiEntry: boolean },
): IndexState {
  const { store, transaction } = handle;
  requireUpgrade(transaction);
  if (handle.isDeleted) throw exception("InvalidStateError", "the object store was deleted");
  transaction.requireActive();
  if (store.indexes.has(name)) throw exception("ConstraintError", `there is an index "${name}" already`);
  if (!isValidKeyPath(keyPath)) throw exception("SyntaxError", "the key path is not valid");
  if (multiEntry && typeof keyPath !== "string") {
    throw exception("InvalidAccessError", "a multi-entry index has a single key path");
  }
  const { schema } = transaction.connection.database;
  const id = schema.nextId;
  schema.nextId += 1;
  const collection = collectionName([schema.id, store.id, id], [schema.name, store.name, name]);
  const index: IndexSchema = { name, collection, keyPath, unique, multiEntry, deleted: false };
  addIndex(handle, index);
  transaction.created ??= new Set();
  transaction.created.add(index);
  transaction.changes.undoWith(() => {
    removeIndex(handle, index);
    index.deleted = true;
  });
  transaction.place(new PopulateIndex(store, index), null);
  return handle.handleOf(index);
}

/** https://www.w3.org/TR/IndexedDB-3/#dom-idbobjectstore-deleteindex */
export function deleteIndex(handle: ObjectStoreState, name: string): void {
  const { store, transaction } = handle;
  requireUpgrade(transaction);
  if (handle.isDeleted) throw exception("InvalidStateError", "the object store was deleted");
  transaction.requireActive();
  const index = store.indexes.get(name);
  if (index === undefined) throw exception("NotFoundError", `there is no index "${name}"`);
  removeIndex(handle, index);
  index.deleted = true;
  transaction.changes.undoWith(() => {
    addIndex(handle, index);
    index.deleted = false;
  });
  transaction.place(new ApplyChanges([{ type: "dropCollection", collection: index.collection }]), null);
}

/** https://www.w3.org/TR/IndexedDB-3/#dom-idbindex-name */
export function renameIndex(handle: IndexState, name: string): void {
  const { index, objectStore, store, transaction } = handle;
  requireUpgrade(transaction);
  transaction.requireActive();
  if (handle.isDeleted) throw exception("InvalidStateError", "the index was deleted");
  if (index.name === name) return;
  if (store.indexes.has(name)) throw exception("ConstraintError", `there is an index "${name}" already`);
  const before = index.name;
  const move = (to: string): void => {
    removeIndex(objectStore, index);
    index.name = to;
    addIndex(objectStore, index);
  };
  move(name);
  handle.name = name;
  transaction.changes.undoWith(() => {
    move(before);
    if (!transaction.created?.has(index)) handle.name = before;
  });
}

const NONE: ReadonlyMap<string, IndexSchema> = new Map();

function addIndex(handle: ObjectStoreState, index: IndexSchema): void {
  const { store } = handle;
  store.indexes = new Map(store.indexes).set(index.name, index);
  handle.indexes = new Map(handle.indexes).set(index.name, index);
}

function removeIndex(handle: ObjectStoreState, index: IndexSchema): void {
  const { store } = handle;
  store.indexes = without(store.indexes, index.name);
  handle.indexes = without(handle.indexes, index.name);
}

function without(indexes: ReadonlyMap<string, IndexSchema>, name: string): ReadonlyMap<string, IndexSchema> {
  const others = new Map(indexes);
  others.delete(name);
  return others;
}

function upgradeOf(connection: ConnectionState): TransactionState {
  const { upgrade } = connection.database;
  if (upgrade === null || upgrade.connection !== connection) {
    throw exception("InvalidStateError", "no upgrade transaction is running");
  }
  return upgrade;
}

function requireUpgrade(transaction: TransactionState): void {
  if (transaction.mode !== "versionchange") {
    throw exception("InvalidStateError", "the transaction is not an upgrade transaction");
  }
}
