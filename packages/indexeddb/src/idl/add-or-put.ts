import { exception } from "../errors.ts";
import type { ObjectStoreState } from "../handles/object-store-state.ts";
import { canInjectKey, extractKey } from "../keys/key-path.ts";
import { storeRecord } from "../operations/store-record.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { type Clone, clone } from "../values/clone.ts";
import type { IDBRequest } from "./idb-request.ts";
import { ask, requireKey, requireUsable, requireWritable } from "./query.ts";

/** https://www.w3.org/TR/IndexedDB-3/#add-or-put */
export function addOrPut(state: ObjectStoreState, value: unknown, key: unknown, overwrites: boolean): IDBRequest {
  const { store, transaction } = state;
  requireUsable(state);
  requireWritable(state);
  const { keyPath, autoIncrement } = store;
  if (keyPath !== null && key !== undefined) {
    throw exception("DataError", "the object store has in-line keys: no key may be given beside the value");
  }
  if (keyPath === null && !autoIncrement && key === undefined) {
    throw exception("DataError", "the object store has out-of-line keys and no key generator: a key is needed");
  }
  let primaryKey = key === undefined ? undefined : requireKey(key);
  const cloned = cloneDuring(transaction, value);
  if (keyPath !== null) {
    const found = extractKey(cloned.value, keyPath);
    if (found === "invalid") throw exception("DataError", "what the key path leads to is not a valid key");
    if (found !== "failure") primaryKey = found;
    else if (!autoIncrement) throw exception("DataError", "the key path leads to nothing in this value");
    else if (!canInjectKey(cloned.value, keyPath as string)) {
      // A store with a generator has a single path.
      throw exception("DataError", "a generated key cannot be put where the key path leads");
    }
  }
  return ask(state, storeRecord(transaction, store, cloned, primaryKey, overwrites));
}

/** Clones a value. Getters that it calls find the transaction inactive. */
export function cloneDuring(transaction: TransactionState, value: unknown): Clone {
  transaction.phase = "inactive";
  try {
    return clone(value);
  } finally {
    // A getter can have aborted it.
    if (!transaction.isFinished) transaction.phase = "active";
  }
}
