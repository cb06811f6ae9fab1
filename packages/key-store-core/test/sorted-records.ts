import { compareBytes, EMPTY } from "../src/bytes.ts";
import { toByteRange } from "../src/ranges.ts";
import type { Change, KeyRange, Page, RecordReader, StoredRecord } from "../src/records.ts";

/** One collection after another as plain sorted arrays: too simple to be wrong, and so the model of the tests. */
export class SortedRecords implements RecordReader {
  readonly #collections = new Map<string, StoredRecord[]>();
  /** How often anything was read. */
  reads = 0;

  apply(change: Change): void {
    const records = this.#collections.get(change.collection) ?? [];
    const keep = (test: (record: StoredRecord) => boolean) => {
      this.#collections.set(change.collection, records.filter(test));
    };
    if (change.type === "dropCollection") keep(() => false);
    else if (change.type === "deleteRange") keep(({ key }) => !isIn(key, change.range));
    else {
      keep(({ key }) => compareBytes(key, change.key) !== 0);
      if (change.type === "put") {
        const { key, value } = change;
        const rest = this.#collections.get(change.collection) ?? [];
        this.#collections.set(
          change.collection,
          [...rest, { key, value }].sort((a, b) => compareBytes(a.key, b.key)),
        );
      }
    }
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.reads += 1;
    const records = this.#collections.get(collection) ?? [];
    return keys.map((key) => records.find((record) => compareBytes(record.key, key) === 0)?.value);
  }

  async list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    this.reads += 1;
    const inside = (this.#collections.get(collection) ?? []).filter(({ key }) => isIn(key, range));
    if (page.reverse) inside.reverse();
    const records = inside.slice(0, page.limit);
    return page.keysOnly ? records.map(({ key }) => ({ key, value: EMPTY })) : records;
  }

  async count(collection: string, range: KeyRange = {}): Promise<number> {
    this.reads += 1;
    return (this.#collections.get(collection) ?? []).filter(({ key }) => isIn(key, range)).length;
  }
}

function isIn(key: Uint8Array, range: KeyRange): boolean {
  const { start, end } = toByteRange(range);
  return compareBytes(key, start) >= 0 && (end === undefined || compareBytes(key, end) < 0);
}
