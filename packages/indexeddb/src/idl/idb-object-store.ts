import { exception } from "../errors.ts";
import type { ObjectStoreState } from "../handles/object-store-state.ts";
import { Count } from "../operations/count.ts";
import { ApplyChanges, DeleteRecords } from "../operations/delete-records.ts";
import type { CursorDirection } from "../operations/entries.ts";
import { Retrieve } from "../operations/retrieve.ts";
import { RetrieveAll } from "../operations/retrieve-all.ts";
import { addOrPut } from "./add-or-put.ts";
import { requireArguments, toDictionary, toDOMString, toEnum, toStringOrSequence } from "./convert.ts";
import { openCursor } from "./cursors.ts";
import { type DOMStringList, sortedNames } from "./dom-string-list.ts";
import type { IDBIndex } from "./idb-index.ts";
import type { IDBRequest } from "./idb-request.ts";
import type { IDBTransaction } from "./idb-transaction.ts";
import {
  ask,
  DIRECTIONS,
  requireUsable,
  requireWritable,
  toBounds,
  toCount,
  toGetAllOptions,
  toRetrieval,
  toSomeBounds,
} from "./query.ts";
import { createIndex, deleteIndex, renameObjectStore } from "./schema-changes.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

/** The options of `createIndex()`. */
export interface IDBIndexParameters {
  readonly unique?: boolean;
  readonly multiEntry?: boolean;
}

/** The options of `getAllRecords()`, and of `getAll()` and `getAllKeys()` in place of a query. */
export interface IDBGetAllOptions {
  readonly query?: unknown;
  readonly count?: number;
  readonly direction?: CursorDirection;
}

/** https://www.w3.org/TR/IndexedDB-3/#idbobjectstore */
export class IDBObjectStore {
  readonly #state: ObjectStoreState;
  #keyPath: unknown;

  /** @internal Object stores come from `IDBTransaction` and `IDBDatabase`. */
  constructor(key: unknown = undefined, state?: ObjectStoreState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  get name(): string {
    return this.#state.name;
  }

  set name(value: string) {
    renameObjectStore(this.#state, toDOMString(value));
  }

  /** A string, an array of strings, or null. */
  get keyPath(): unknown {
    const { keyPath } = this.#state.store;
    this.#keyPath ??= typeof keyPath === "object" && keyPath !== null ? [...keyPath] : keyPath;
    return this.#keyPath;
  }

  get indexNames(): DOMStringList {
    return sortedNames(this.#state.indexes.keys());
  }

  get transaction(): IDBTransaction {
    return this.#state.transaction.target;
  }

  get autoIncrement(): boolean {
    return this.#state.store.autoIncrement;
  }

  put(value: unknown, key: unknown = undefined): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.put");
    return addOrPut(state, value, key, true);
  }

  add(value: unknown, key: unknown = undefined): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.add");
    return addOrPut(state, value, key, false);
  }

  delete(query: unknown): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.delete");
    requireUsable(state);
    requireWritable(state);
    return ask(state, new DeleteRecords(state.store, toSomeBounds(query)));
  }

  clear(): IDBRequest {
    const state = this.#state;
    requireUsable(state);
    requireWritable(state);
    const { store } = state;
    const collections = [store.collection, ...Array.from(store.indexes.values(), (index) => index.collection)];
    return ask(state, new ApplyChanges(collections.map((collection) => ({ type: "dropCollection", collection }))));
  }

  get(query: unknown): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.get");
    requireUsable(state);
    return ask(state, new Retrieve(state, toSomeBounds(query), "value"));
  }

  getKey(query: unknown): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.getKey");
    requireUsable(state);
    return ask(state, new Retrieve(state, toSomeBounds(query), "key"));
  }

  getAll(queryOrOptions: unknown = undefined, count: unknown = undefined): IDBRequest {
    const state = this.#state;
    const limit = toCount(count);
    requireUsable(state);
    const options = toRetrieval(queryOrOptions, limit);
    return ask(state, new RetrieveAll(state, options.bounds, options.direction, options.count, "values"));
  }

  getAllKeys(queryOrOptions: unknown = undefined, count: unknown = undefined): IDBRequest {
    const state = this.#state;
    const limit = toCount(count);
    requireUsable(state);
    const options = toRetrieval(queryOrOptions, limit);
    return ask(state, new RetrieveAll(state, options.bounds, options.direction, options.count, "keys"));
  }

  getAllRecords(options: IDBGetAllOptions = {}): IDBRequest {
    const state = this.#state;
    const { query, direction, count } = toGetAllOptions(options);
    requireUsable(state);
    return ask(state, new RetrieveAll(state, toBounds(query), direction, count, "records"));
  }

  count(query: unknown = undefined): IDBRequest {
    const state = this.#state;
    requireUsable(state);
    return ask(state, new Count(state, toBounds(query)));
  }

  openCursor(query: unknown = undefined, direction: CursorDirection = "next"): IDBRequest {
    const state = this.#state;
    return openCursor(state, query, toEnum(direction, DIRECTIONS, "IDBCursorDirection"), false);
  }

  openKeyCursor(query: unknown = undefined, direction: CursorDirection = "next"): IDBRequest {
    const state = this.#state;
    return openCursor(state, query, toEnum(direction, DIRECTIONS, "IDBCursorDirection"), true);
  }

  index(name: string): IDBIndex {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.index");
    const wanted = toDOMString(name);
    if (state.isDeleted) throw exception("InvalidStateError", "the object store was deleted");
    if (state.transaction.isFinished) throw exception("InvalidStateError", "the transaction has finished");
    const index = state.indexes.get(wanted);
    if (index === undefined) throw exception("NotFoundError", `there is no index "${wanted}"`);
    return state.handleOf(index).target;
  }

  createIndex(name: string, keyPath: string | readonly string[], options: IDBIndexParameters = {}): IDBIndex {
    const state = this.#state;
    requireArguments(arguments.length, 2, "IDBObjectStore.createIndex");
    const newName = toDOMString(name);
    const path = toStringOrSequence(keyPath);
    const dictionary = toDictionary(options, "options");
    const multiEntry = Boolean(dictionary.multiEntry);
    const unique = Boolean(dictionary.unique);
    return createIndex(state, newName, path, { multiEntry, unique }).target;
  }

  deleteIndex(name: string): void {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBObjectStore.deleteIndex");
    deleteIndex(state, toDOMString(name));
  }
}

defineInterface(IDBObjectStore);
