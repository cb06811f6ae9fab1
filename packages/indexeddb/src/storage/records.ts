import {
  type Change,
  compareBytes,
  EMPTY,
  type KeyRange,
  type Known,
  type Page,
  type RecordReader,
  type StoredRecord,
} from "@holdfast/key-store-core";
import { groupRange, hasLongBound, inRange, isLong, PREFIX_BYTES, storedKey, unwrap, widened } from "./long-keys.ts";

/** How many records are read at a time where all of a range are needed. */
const PAGE = 1000;

/** Reads records by their whole keys, which may be longer than a key store's. */
export class Records implements RecordReader {
  readonly #reader: RecordReader;

  constructor(reader: RecordReader) {
    this.#reader = reader;
  }

  getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return keys.some(isLong) ? this.#getLong(collection, keys) : this.#reader.getMany(collection, keys);
  }

  /** What is known of a key without waiting. A failure is not: whoever then reads learns of it. */
  peek(collection: string, key: Uint8Array): Known {
    if (this.#reader.peek === undefined || isLong(key)) return "unknown";
    try {
      return this.#reader.peek(collection, key);
    } catch {
      return "unknown";
    }
  }

  async list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    const stored = await this.#reader.list(collection, hasLongBound(range) ? widened(range) : range, page);
    return stored.some((record) => isLong(record.key)) ? this.#listLong(collection, range, page, stored) : stored;
  }

  async count(collection: string, range: KeyRange = {}): Promise<number> {
    if (!hasLongBound(range)) return this.#reader.count(collection, range);
    let count = await this.#reader.count(collection, widened(range));
    for (const group of await this.#boundaryGroups(collection, range)) {
      for (const { key } of group) if (!inRange(range, key)) count -= 1;
    }
    return count;
  }

  /** The changes that delete a range. */
  async deletions(collection: string, range: KeyRange): Promise<Change[]> {
    if (!hasLongBound(range)) return [{ type: "deleteRange", collection, range }];
    const keys: Uint8Array[] = [];
    let from = range;
    for (;;) {
      const records = await this.list(collection, from, { limit: PAGE, keysOnly: true });
      for (const { key } of records) keys.push(key);
      const last = records.at(-1);
      if (last === undefined || records.length < PAGE) break;
      const { lt, lte } = range;
      from = { gt: last.key, ...(lt === undefined ? { lte } : { lt }) };
    }
    return keys.map((key) => ({ type: "delete", collection, key: storedKey(key) }));
  }

  async #getLong(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values = await this.#reader.getMany(collection, keys.map(storedKey));
    return values.map((value, nth) => {
      const key = keys[nth];
      if (value === undefined || key === undefined || !isLong(key)) return value;
      return unwrap({ key: storedKey(key), value }).value;
    });
  }

  /** A page whose first part was read as it is stored, and has long keys in it. */
  async #listLong(
    collection: string,
    range: KeyRange,
    page: Page,
    first: readonly StoredRecord[],
  ): Promise<StoredRecord[]> {
    const records: StoredRecord[] = [];
    let stored = first;
    for (;;) {
      let rest: KeyRange | undefined;
      for (const record of stored) {
        if (isLong(record.key)) {
          const group = await this.#group(collection, record.key);
          if (page.reverse) group.reverse();
          for (const each of group) {
            if (inRange(range, each.key)) records.push(page.keysOnly ? { key: each.key, value: EMPTY } : each);
          }
          // The group is done with, however much of it was in the page.
          const { gte, lt } = groupRange(record.key);
          rest = page.reverse ? { ...lowerBound(range), lt: gte } : { gte: lt, ...upperBound(range) };
          break;
        }
        records.push(record);
      }
      if (records.length >= page.limit) return records.slice(0, page.limit);
      if (rest === undefined) {
        const last = stored.at(-1);
        if (last === undefined || stored.length < page.limit) return records;
        rest = page.reverse ? { ...lowerBound(range), lt: last.key } : { gt: last.key, ...upperBound(range) };
      }
      stored = await this.#reader.list(collection, widened(rest), page);
    }
  }

  /** All records that share a long key's prefix, in order. */
  async #group(collection: string, key: Uint8Array): Promise<StoredRecord[]> {
    const group: StoredRecord[] = [];
    let range: KeyRange = groupRange(key);
    for (;;) {
      const stored = await this.#reader.list(collection, range, { limit: PAGE });
      for (const record of stored) if (isLong(record.key)) group.push(unwrap(record));
      const last = stored.at(-1);
      if (last === undefined || stored.length < PAGE) break;
      range = { gt: last.key, lt: groupRange(key).lt };
    }
    return group.sort((a, b) => compareBytes(a.key, b.key));
  }

  /** The groups that a range's bounds cut through. */
  #boundaryGroups(collection: string, range: KeyRange): Promise<StoredRecord[][]> {
    const bounds = [range.gt ?? range.gte, range.lt ?? range.lte].filter(
      (bound) => bound !== undefined && isLong(bound),
    );
    const [first, second] = bounds as Uint8Array[];
    const same =
      first !== undefined &&
      second !== undefined &&
      compareBytes(first.subarray(0, PREFIX_BYTES), second.subarray(0, PREFIX_BYTES)) === 0;
    const distinct = (same ? [first] : bounds) as Uint8Array[];
    return Promise.all(distinct.map((bound) => this.#group(collection, bound)));
  }
}

function lowerBound({ gt, gte }: KeyRange): KeyRange {
  return gt !== undefined ? { gt } : gte !== undefined ? { gte } : {};
}

function upperBound({ lt, lte }: KeyRange): KeyRange {
  return lt !== undefined ? { lt } : lte !== undefined ? { lte } : {};
}
