import { EMPTY, type StoredRecord } from "@holdfast/key-store-core";
import { keyLength } from "../keys/decode.ts";
import { joinKeys } from "../keys/encode.ts";
import type { IndexSchema } from "./schema.ts";

/*
 * An entry of an index is (index key, primary key): both are the record's key,
 * and its value is empty. Of a unique index, where there is one entry for a key
 * at most, the primary key is the value: so that a look at one record tells
 * whether a key is taken.
 */

/** The key of an index entry in the index's collection. */
export function entryPlace(index: IndexSchema, key: Uint8Array, primaryKey: Uint8Array): Uint8Array {
  return index.unique ? key : joinKeys(key, primaryKey);
}

/** The value of an index entry. */
export function entryValue(index: IndexSchema, primaryKey: Uint8Array): Uint8Array {
  return index.unique ? primaryKey : EMPTY;
}

/** An index entry, taken apart. */
export function splitEntry(
  index: IndexSchema,
  { key: place, value }: StoredRecord,
): { readonly key: Uint8Array; readonly primaryKey: Uint8Array } {
  if (index.unique) return { key: place, primaryKey: value };
  const length = keyLength(place);
  return { key: place.subarray(0, length), primaryKey: place.subarray(length) };
}
