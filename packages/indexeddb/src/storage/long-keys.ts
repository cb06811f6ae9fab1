import { createHash } from "node:crypto";
import {
  compareBytes,
  type KeyRange,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  type StoredRecord,
} from "@holdfast/key-store-core";
import { exception } from "../errors.ts";
import { MalformedKeyError } from "../keys/malformed-key-error.ts";

/**
 * IndexedDB's keys have no greatest length; a key store's have. A key of more
 * than {@link PREFIX_BYTES} is stored as its first {@link PREFIX_BYTES} bytes
 * and the SHA-256 of all of it; the whole key stands before its value. Since no
 * key is the beginning of another, such records lie among the others where they
 * belong. Only those that share a prefix are not in order among themselves:
 * such a group is read as a whole and sorted.
 */
export const PREFIX_BYTES = MAX_KEY_BYTES - 32;

/** Whether a key is too long to be stored as it is. */
export function isLong(key: Uint8Array): boolean {
  return key.length > PREFIX_BYTES;
}

/** The key under which a record is stored. */
export function storedKey(key: Uint8Array): Uint8Array {
  if (!isLong(key)) return key;
  const digest = createHash("sha256").update(key).digest();
  return Buffer.concat([key.subarray(0, PREFIX_BYTES), digest]);
}

/** The value as it is stored: after the whole key, where that is too long. */
export function storedValue(key: Uint8Array, value: Uint8Array): Uint8Array {
  if (!isLong(key)) return value;
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(key.length);
  return Buffer.concat([length, key, value]);
}

/**
 * Throws where a record is larger than a key store takes.
 *
 * @throws `DataError`
 */
export function requireStorable(key: Uint8Array, value: Uint8Array): void {
  const length = isLong(key) ? 4 + key.length + value.length : value.length;
  if (length <= MAX_VALUE_BYTES) return;
  throw exception("DataError", `a stored value has at most ${MAX_VALUE_BYTES} bytes, not ${length}`);
}

/** A record as it was put, of one that was stored with a long key. */
export function unwrap(stored: StoredRecord): StoredRecord {
  const { value } = stored;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const length = value.length >= 4 ? view.getUint32(0) : 0;
  const key = value.subarray(4, 4 + length);
  if (!isLong(key) || compareBytes(storedKey(key), stored.key) !== 0) {
    throw new DOMException("a stored record is not what was written: its key is missing", "DataError");
  }
  return { key, value: value.subarray(4 + length) };
}

/** The value of a record as it was put, of the one that is stored for its key. */
export function originalValue(key: Uint8Array, stored: Uint8Array): Uint8Array {
  return isLong(key) ? unwrap({ key: storedKey(key), value: stored }).value : stored;
}

/** All records with this stored key's prefix that are stored as long ones lie in this range. */
export function groupRange(stored: Uint8Array): { readonly gte: Uint8Array; readonly lt: Uint8Array } {
  const prefix = stored.subarray(0, PREFIX_BYTES);
  // The next greater bytes: the last that can grow does. The first can always, for it is a type's tag.
  let length = PREFIX_BYTES;
  while (prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) throw new MalformedKeyError("a stored key is not what was written: its type is unknown");
  // A copy: slice() of a Buffer is none.
  const end = Uint8Array.from(prefix.subarray(0, length));
  end[length - 1] = (prefix[length - 1] as number) + 1;
  return { gte: prefix, lt: end };
}

/** Whether a bound is longer than a stored key can be. */
export function hasLongBound(range: KeyRange): boolean {
  const { gt, gte, lt, lte } = range;
  return [gt, gte, lt, lte].some((bound) => bound !== undefined && isLong(bound));
}

/** The least range of stored keys that has all records of a range. It may have others, of the groups at its ends. */
export function widened(range: KeyRange): KeyRange {
  const lower = range.gt ?? range.gte;
  const upper = range.lt ?? range.lte;
  const { gt, gte, lt, lte } = range;
  return {
    ...(lower === undefined
      ? {}
      : isLong(lower)
        ? { gte: groupRange(lower).gte }
        : gt === undefined
          ? { gte }
          : { gt }),
    ...(upper === undefined ? {} : isLong(upper) ? { lt: groupRange(upper).lt } : lt === undefined ? { lte } : { lt }),
  };
}

/** Whether a whole key lies in a range. */
export function inRange(range: KeyRange, key: Uint8Array): boolean {
  const { gt, gte, lt, lte } = range;
  return (
    (gt === undefined || compareBytes(key, gt) > 0) &&
    (gte === undefined || compareBytes(key, gte) >= 0) &&
    (lt === undefined || compareBytes(key, lt) < 0) &&
    (lte === undefined || compareBytes(key, lte) <= 0)
  );
}
