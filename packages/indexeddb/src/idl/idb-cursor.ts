import { compareBytes } from "@holdfast/key-store-core";
import { exception } from "../errors.ts";
import type { CursorState } from "../handles/cursor-state.ts";
import { onlyKey } from "../keys/bounds.ts";
import { extractKey } from "../keys/key-path.ts";
import { DeleteRecords } from "../operations/delete-records.ts";
import type { CursorDirection } from "../operations/entries.ts";
import { Iterate, type Step } from "../operations/iterate.ts";
import { storeRecord } from "../operations/store-record.ts";
import { RequestState } from "../request/request-state.ts";
import { cloneDuring } from "./add-or-put.ts";
import { MAX_UNSIGNED_LONG, requireArguments, toUnsigned } from "./convert.ts";
import type { IDBRequest } from "./idb-request.ts";
import { requireKey, requireNotDeleted, requireWritable } from "./query.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

let stateInside: (cursor: IDBCursor) => CursorState;

/** https://www.w3.org/TR/IndexedDB-3/#idbcursor */
export class IDBCursor {
  readonly #state: CursorState;

  static {
    stateInside = (cursor) => cursor.#state;
  }

  /** @internal Cursors come from `openCursor()` and `openKeyCursor()`. */
  constructor(key: unknown = undefined, state?: CursorState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  /** The `IDBObjectStore` or `IDBIndex` that it moves over. */
  get source(): object {
    return this.#state.source.target;
  }

  get direction(): CursorDirection {
    return this.#state.direction;
  }

  get key(): unknown {
    return this.#state.key;
  }

  get primaryKey(): unknown {
    return this.#state.primaryKey;
  }

  /** The request that it came from, which is used again for each step. */
  get request(): IDBRequest {
    return this.#state.request.target;
  }

  advance(count: number): void {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBCursor.advance");
    const steps = toUnsigned(count, MAX_UNSIGNED_LONG, "count");
    if (steps === 0) throw new TypeError("count must not be 0");
    requireMovable(state);
    move(state, { count: steps });
  }

  continue(key: unknown = undefined): void {
    const state = this.#state;
    requireMovable(state);
    if (key === undefined) {
      move(state, { count: 1 });
      return;
    }
    const target = requireKey(key);
    const order = compareBytes(target, here(state).key) * forward(state);
    if (order <= 0) throw exception("DataError", "the key is not ahead of the cursor");
    move(state, { key: target, primaryKey: undefined });
  }

  continuePrimaryKey(key: unknown, primaryKey: unknown): void {
    const state = this.#state;
    requireArguments(arguments.length, 2, "IDBCursor.continuePrimaryKey");
    state.source.transaction.requireActive();
    requireNotDeleted(state.source);
    if (state.source.index === null) throw exception("InvalidAccessError", "the cursor is not one of an index");
    if (state.direction !== "next" && state.direction !== "prev") {
      throw exception("InvalidAccessError", 'the cursor has neither direction "next" nor "prev"');
    }
    requireValue(state);
    const target = { key: requireKey(key), primaryKey: requireKey(primaryKey) };
    const position = here(state);
    const byKey = compareBytes(target.key, position.key);
    const order = (byKey === 0 ? compareBytes(target.primaryKey, position.primaryKey) : byKey) * forward(state);
    if (order <= 0) throw exception("DataError", "the keys are not ahead of the cursor");
    move(state, target);
  }

  update(value: unknown): IDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBCursor.update");
    requireChangeable(state);
    const { store, transaction } = state.source;
    const { primaryKey } = here(state);
    const cloned = cloneDuring(transaction, value);
    if (store.keyPath !== null) {
      const found = extractKey(cloned.value, store.keyPath);
      if (typeof found === "string" || compareBytes(found, primaryKey) !== 0) {
        throw exception("DataError", "the value has another key than the record");
      }
    }
    const request = new RequestState(this, transaction);
    transaction.place(storeRecord(transaction, store, cloned, primaryKey, true), request);
    return request.target;
  }

  delete(): IDBRequest {
    const state = this.#state;
    requireChangeable(state);
    const { store, transaction } = state.source;
    const request = new RequestState(this, transaction);
    transaction.place(new DeleteRecords(store, onlyKey(here(state).primaryKey)), request);
    return request.target;
  }
}

/** https://www.w3.org/TR/IndexedDB-3/#idbcursorwithvalue */
export class IDBCursorWithValue extends IDBCursor {
  get value(): unknown {
    return stateInside(this).value;
  }
}

defineInterface(IDBCursor);
defineInterface(IDBCursorWithValue);

function requireMovable(state: CursorState): void {
  state.source.transaction.requireActive();
  requireNotDeleted(state.source);
  requireValue(state);
}

function requireChangeable(state: CursorState): void {
  state.source.transaction.requireActive();
  requireWritable(state.source);
  requireNotDeleted(state.source);
  requireValue(state);
  if (state.keysOnly) throw exception("InvalidStateError", "the cursor is one of keys only");
}

function requireValue(state: CursorState): void {
  if (!state.gotValue) throw exception("InvalidStateError", "the cursor is being moved, or is behind the end");
}

/** Where a cursor stands that has a value. */
function here(state: CursorState): NonNullable<CursorState["position"]> {
  if (state.position === undefined) throw exception("InvalidStateError", "the cursor has not reached a record");
  return state.position;
}

function forward(state: CursorState): 1 | -1 {
  return state.direction.startsWith("next") ? 1 : -1;
}

function move(state: CursorState, step: Step): void {
  state.gotValue = false;
  state.request.reset();
  state.source.transaction.place(new Iterate(state, step), state.request);
}
