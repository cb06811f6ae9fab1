import { compareBytes, EMPTY, type KeyRange, type StoredRecord } from "@holdfast/key-store-core";
import { type Bounds, indexRange, storeRange } from "../keys/bounds.ts";
import { withByte } from "../keys/encode.ts";
import { AFTER } from "../keys/format.ts";
import { splitEntry } from "../storage/index-entries.ts";
import type { Records } from "../storage/records.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";

export type CursorDirection = "next" | "nextunique" | "prev" | "prevunique";

/** Where records are read from: an object store, or an index of it. */
export interface RecordSource {
  readonly store: StoreSchema;
  readonly index: IndexSchema | null;
}

/** One record of an object store, or of an index together with the record that it refers to. */
export interface Entry {
  /** The index key, or of an object store the primary key. */
  readonly key: Uint8Array;
  readonly primaryKey: Uint8Array;
  /** The whole key in the source's collection: what its place in the order is. */
  readonly place: Uint8Array;
  /** The stored value; empty where only keys were asked for. */
  readonly value: Uint8Array;
}

/** The keys of the source's collection that lie within the bounds. */
export function rangeOf(source: RecordSource, bounds: Bounds): KeyRange {
  return source.index === null ? storeRange(bounds) : indexRange(bounds);
}

/** Entries of a range in the direction's order, and whether there may be more. */
export interface Page {
  readonly entries: readonly Entry[];
  readonly more: boolean;
}

/** Reads up to `limit` entries of a range; fewer where the range ends, or where duplicates were left out. */
export async function readEntries(
  records: Records,
  source: RecordSource,
  range: KeyRange,
  direction: CursorDirection,
  limit: number,
  withValues: boolean,
): Promise<Page> {
  const { store, index } = source;
  const reverse = direction === "prev" || direction === "prevunique";
  if (index === null) {
    const found = await records.list(store.collection, range, { limit, reverse, keysOnly: !withValues });
    const entries = found.map(({ key, value }) => ({ key, primaryKey: key, place: key, value }));
    return { entries, more: found.length === limit };
  }
  const found = await records.list(index.collection, range, { limit, reverse, keysOnly: !index.unique });
  let entries = found.map((record) => entryOf(index, record));
  // A unique index has no duplicates to leave out.
  if (direction === "nextunique" && !index.unique)
    entries = entries.filter((entry, at) => !sameKey(entry, entries[at - 1]));
  else if (direction === "prevunique" && !index.unique) entries = await firstOfEach(records, index, entries);
  return {
    entries: withValues ? await withPrimaryValues(records, store, entries) : entries,
    more: found.length === limit,
  };
}

/** The part of a range that lies behind an entry. */
export function rangeAfter(range: KeyRange, entry: Entry, direction: CursorDirection, isIndex: boolean): KeyRange {
  const { gt, gte, lt, lte } = range;
  const lower = gt === undefined ? { gte } : { gt };
  const upper = lt === undefined ? { lte } : { lt };
  switch (direction) {
    case "next":
      return { gt: entry.place, ...upper };
    case "nextunique":
      return isIndex ? { gte: withByte(entry.key, AFTER), ...upper } : { gt: entry.place, ...upper };
    case "prev":
      return { ...lower, lt: entry.place };
    case "prevunique":
      return { ...lower, lt: entry.key };
  }
}

function entryOf(index: IndexSchema, record: StoredRecord): Entry {
  const { key, primaryKey } = splitEntry(index, record);
  return { key, primaryKey, place: record.key, value: EMPTY };
}

/** Of entries in descending order, the one with the least primary key of each index key. */
async function firstOfEach(records: Records, index: IndexSchema, entries: readonly Entry[]): Promise<Entry[]> {
  const firsts = entries.filter((entry, at) => !sameKey(entry, entries[at + 1]));
  const last = firsts.pop();
  if (last === undefined) return [];
  // The page may have ended among the entries of this key.
  const [first] = await records.list(index.collection, { gte: last.key }, { limit: 1, keysOnly: true });
  return [...firsts, first === undefined ? last : entryOf(index, first)];
}

async function withPrimaryValues(records: Records, store: StoreSchema, entries: readonly Entry[]): Promise<Entry[]> {
  if (entries.length === 0) return [];
  const values = await records.getMany(
    store.collection,
    entries.map((entry) => entry.primaryKey),
  );
  return entries.map((entry, at) => ({ ...entry, value: referred(values[at]) }));
}

/** The value that an index entry refers to. */
export function referred(value: Uint8Array | undefined): Uint8Array {
  if (value === undefined) throw new DOMException("an index refers to a record that is missing", "DataError");
  return value;
}

function sameKey(entry: Entry, other: Entry | undefined): boolean {
  return other !== undefined && compareBytes(entry.key, other.key) === 0;
}
