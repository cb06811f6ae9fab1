import type { ByteRange, CollectionChanges, StoredRecord } from "@holdfast/key-store-core";
import { byteaArray, byteaParameter, endParameter, numberArray, textArray } from "./codec.ts";

/** A commit above this many bytes of keys and values is sent in parts: 4 MiB. */
export const STAGE_BYTES = 4 * 1024 * 1024;

/**
 * The size of these parts, 1 MiB: one that the sockets between can hold as
 * text, so that it has left this process before the next one is encoded.
 */
const PART_BYTES = 1024 * 1024;

/** What a commit needs to know of the collections that there are: each name's id. */
export interface CollectionIds {
  readonly ids: ReadonlyMap<string, number>;
  /** The id of the next new collection. */
  readonly next: number;
}

/** Ids as they are once a commit has been applied. */
export function idsAfter(before: CollectionIds, changes: readonly CollectionChanges[]): CollectionIds {
  const ids = new Map(before.ids);
  let { next } = before;
  for (const { collection, drop, puts } of changes) {
    if (drop) ids.delete(collection);
    else if (puts.length > 0 && !ids.has(collection)) ids.set(collection, next++);
  }
  return { ids, next };
}

/** The bytes of keys and values that changes carry. */
export function sizeOf(changes: readonly CollectionChanges[]): number {
  let size = 0;
  for (const { puts, deletes, removed } of changes) {
    for (const put of puts) size += recordSize(put);
    for (const key of deletes) size += key.byteLength;
    for (const range of removed) size += rangeSize(range);
  }
  return size;
}

/** Changes as the parameters of one statement, from $5 on. */
export interface ChangeParameters {
  /** Which of the statements they belong to: the one for puts alone, or the one for all changes. */
  readonly kind: "puts" | "all";
  readonly parameters: readonly string[];
}

/**
 * Writes changes as parameters. No collection stands in them twice.
 *
 * @param after the ids with those of collections that come to be in these changes
 */
export function changeParameters(
  changes: readonly CollectionChanges[],
  before: CollectionIds,
  after: CollectionIds,
): ChangeParameters {
  const put = { ids: [] as number[], keys: [] as Uint8Array[], values: [] as Uint8Array[] };
  const deleted = { ids: [] as number[], keys: [] as Uint8Array[] };
  const range = { ids: [] as number[], starts: [] as string[], ends: [] as string[] };
  const touched = { ids: [] as number[], names: [] as string[], records: [] as number[], bytes: [] as number[] };
  const dropped: number[] = [];

  for (const { collection, drop, puts, deletes, removed } of changes) {
    const id = (drop ? before : after).ids.get(collection);
    // There is nothing in a collection that is not there.
    if (id === undefined) continue;
    let bytes = 0;
    for (const { key, value } of puts) {
      put.ids.push(id);
      put.keys.push(key);
      put.values.push(value);
      bytes += key.length + value.length;
    }
    for (const key of deletes) {
      deleted.ids.push(id);
      deleted.keys.push(key);
    }
    for (const { start, end } of drop ? [{ start: new Uint8Array(), end: undefined }] : removed) {
      range.ids.push(id);
      range.starts.push(byteaParameter(start));
      range.ends.push(endParameter(end));
    }
    if (drop) {
      dropped.push(id);
      continue;
    }
    touched.ids.push(id);
    touched.names.push(collection);
    touched.records.push(puts.length);
    touched.bytes.push(bytes);
  }

  const parameters = [
    numberArray(put.ids),
    byteaArray(put.keys),
    byteaArray(put.values),
    numberArray(touched.ids),
    textArray(touched.names),
    numberArray(touched.records),
    numberArray(touched.bytes),
  ];
  if (deleted.ids.length === 0 && range.ids.length === 0) return { kind: "puts", parameters };
  parameters.push(
    numberArray(deleted.ids),
    byteaArray(deleted.keys),
    numberArray(range.ids),
    byteaArray(range.starts),
    byteaArray(range.ends),
    numberArray(dropped),
  );
  return { kind: "all", parameters };
}

/**
 * Cuts changes into parts of at most {@link PART_BYTES}, or of one record
 * that is larger, each made when it is asked for.
 */
export function* stages(changes: readonly CollectionChanges[]): Generator<CollectionChanges[]> {
  let stage: Draft[] = [];
  let size = 0;
  for (const change of changes) {
    let draft = draftOf(change, change.drop);
    stage.push(draft);
    for (const kind of KINDS) {
      for (const item of change[kind]) {
        const itemSize = sizeOfItem(item);
        if (size > 0 && size + itemSize > PART_BYTES) {
          yield stage;
          draft = draftOf(change, false);
          stage = [draft];
          size = 0;
        }
        // Each list takes the items of its own kind.
        (draft[kind] as (typeof item)[]).push(item);
        size += itemSize;
      }
    }
  }
  if (stage.length > 0) yield stage;
}

/** The lists of a collection's changes: all of them are cut, as their order is free. */
const KINDS = ["removed", "deletes", "puts"] as const;

interface Draft extends CollectionChanges {
  readonly removed: ByteRange[];
  readonly deletes: Uint8Array[];
  readonly puts: StoredRecord[];
}

function draftOf({ collection }: CollectionChanges, drop: boolean): Draft {
  return { collection, drop, removed: [], deletes: [], puts: [] };
}

function sizeOfItem(item: ByteRange | Uint8Array | StoredRecord): number {
  if (item instanceof Uint8Array) return item.byteLength;
  return "key" in item ? recordSize(item) : rangeSize(item);
}

function rangeSize({ start, end }: ByteRange): number {
  return start.byteLength + (end?.byteLength ?? 0);
}

function recordSize({ key, value }: StoredRecord): number {
  return key.byteLength + value.byteLength;
}
