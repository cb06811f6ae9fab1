import type { IndexState } from "../handles/index-state.ts";
import { Count } from "../operations/count.ts";
import type { CursorDirection } from "../operations/entries.ts";
import { Retrieve } from "../operations/retrieve.ts";
import { RetrieveAll } from "../operations/retrieve-all.ts";
import { requireArguments, toDOMString, toEnum } from "./convert.ts";
import { openCursor } from "./cursors.ts";
import type { IDBGetAllOptions, IDBObjectStore } from "./idb-object-store.ts";
import type { IDBRequest } from "./idb-request.ts";
import {
  ask,
  DIRECTIONS,
  requireUsable,
  toBounds,
  toCount,
  toGetAllOptions,
  toRetrieval,
  toSomeBounds,
} from "./query.ts";
import { renameIndex } from "./schema-changes.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

/** https://www.w3.org/TR/IndexedDB-3/#idbindex */
export class IDBIndex {
  readonly #state: IndexState;
  #keyPath: unknown;

  /** @internal Indexes come from `IDBObjectStore`. */
  constructor(key: unknown = undefined, state?: IndexState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  get name(): string {
    return this.#state.name;
  }

  set name(value: string) {
    renameIndex(this.#state, toDOMString(value));
  }

  get objectStore(): IDBObjectStore {
    return this.#state.objectStore.target;
  }

  /** A string, or an array of strings. */
  get keyPath(): unknown {
    const { keyPath } = this.#state.index;
    this.#keyPath ??= typeof keyPath === "string" ? keyPath : [...keyPath];
    return this.#keyPath;
  }

  get multiEntry(): boolean {
    return this.#state.index.multiEntry;
  }

  get unique(): boolean {
    return this.#state.index.unique;
  }

  get(query: unknown): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBIndex.get");
    requireUsable(state);
    return ask(state, new Retrieve(state, toSomeBounds(query), "value"));
  }

  getKey(query: unknown): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBIndex.getKey");
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
}

defineInterface(IDBIndex);
