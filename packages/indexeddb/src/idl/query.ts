import { types } from "node:util";
import { exception } from "../errors.ts";
import type { SourceState } from "../handles/index-state.ts";
import { type Bounds, onlyKey, UNBOUNDED } from "../keys/bounds.ts";
import { toKey } from "../keys/encode.ts";
import type { CursorDirection } from "../operations/entries.ts";
import { RequestState } from "../request/request-state.ts";
import type { Operation } from "../transaction/operation.ts";
import { MAX_UNSIGNED_LONG, toDictionary, toEnum, toUnsigned } from "./convert.ts";
import { boundsOf, IDBKeyRange } from "./idb-key-range.ts";
import type { IDBRequest } from "./idb-request.ts";

export const DIRECTIONS: readonly CursorDirection[] = ["next", "nextunique", "prev", "prevunique"];

/** Throws unless the source is still there and its transaction is active. */
export function requireUsable(source: SourceState): void {
  requireNotDeleted(source);
  source.transaction.requireActive();
}

export function requireNotDeleted(source: SourceState): void {
  if (source.isDeleted) throw exception("InvalidStateError", "the object store or index was deleted");
}

/** Throws unless the transaction may write. */
export function requireWritable(source: SourceState): void {
  if (source.transaction.readOnly) throw exception("ReadOnlyError", "the transaction is read-only");
}

/** The bytes of a value that must be a key. */
export function requireKey(value: unknown): Uint8Array {
  const key = toKey(value);
  if (key === undefined) throw exception("DataError", "the value is not a valid key");
  return key;
}

/** https://www.w3.org/TR/IndexedDB-3/#convert-a-value-to-a-key-range */
export function toBounds(query: unknown): Bounds {
  if (query === undefined || query === null) return UNBOUNDED;
  return query instanceof IDBKeyRange ? boundsOf(query) : onlyKey(requireKey(query));
}

/** As {@link toBounds}, of a query that must not be missing. */
export function toSomeBounds(query: unknown): Bounds {
  if (query === undefined || query === null) throw exception("DataError", "a key or key range is needed");
  return toBounds(query);
}

/** What `getAll()` and its like are asked for. */
export interface RetrievalOptions {
  readonly bounds: Bounds;
  readonly direction: CursorDirection;
  /** 0 is no limit. */
  readonly count: number;
}

interface GetAllDictionary {
  readonly query: unknown;
  readonly direction: CursorDirection;
  readonly count: number;
}

/** `IDBGetAllOptions`. */
export function toGetAllOptions(value: unknown): GetAllDictionary {
  const dictionary = toDictionary(value, "options");
  const count = dictionary.count;
  const limit = count === undefined ? 0 : toUnsigned(count, MAX_UNSIGNED_LONG, "count");
  const direction = dictionary.direction;
  const order = direction === undefined ? "next" : toEnum(direction, DIRECTIONS, "IDBCursorDirection");
  return { count: limit, direction: order, query: dictionary.query };
}

/** The arguments of `getAll()` and `getAllKeys()`: a query and a count, or one dictionary. */
export function toRetrieval(queryOrOptions: unknown, count: number): RetrievalOptions {
  if (isPotentialRange(queryOrOptions)) return { bounds: toBounds(queryOrOptions), direction: "next", count };
  const options = toGetAllOptions(queryOrOptions);
  return { bounds: toBounds(options.query), direction: options.direction, count: options.count };
}

export function toCount(count: unknown): number {
  return count === undefined ? 0 : toUnsigned(count, MAX_UNSIGNED_LONG, "count");
}

/** https://www.w3.org/TR/IndexedDB-3/#is-a-potentially-valid-key-range */
function isPotentialRange(value: unknown): boolean {
  if (value === undefined || value === null || value instanceof IDBKeyRange) return true;
  if (typeof value === "number" || typeof value === "string") return true;
  if (typeof value !== "object") return false;
  return Array.isArray(value) || types.isDate(value) || types.isAnyArrayBuffer(value) || ArrayBuffer.isView(value);
}

/** Places an operation for a new request of a source. */
export function ask(source: SourceState, operation: Operation): IDBRequest {
  const request = new RequestState(source.target, source.transaction);
  source.transaction.place(operation, request);
  return request.target;
}
