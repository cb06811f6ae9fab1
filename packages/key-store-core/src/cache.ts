import { LRUCache } from "lru-cache";
import { compareBytes, EMPTY, sizeOf, toText } from "./bytes.ts";
import type { Counters } from "./counters.ts";
import type { CollectionChanges } from "./driver.ts";
import type { KeyRange, Page, RecordReader, StoredRecord } from "./records.ts";

/** What the cache knows of a key: its value, or that there is none. */
type Known = { readonly value: Uint8Array | undefined };

/** What an entry costs beside its key and value. */
const ENTRY_BYTES = 128;

/** How many records a miss brings along where keys were listed before: at first, and at most. */
const READ_AHEAD = { first: 16, most: 256, bytes: 1024 * 1024 } as const;

/** Where read-ahead stands in a collection whose keys were listed. */
interface ReadAhead {
  /** Nothing before this key is read ahead: whoever goes back is not walking the keys in order. */
  readonly from: Uint8Array;
  readonly limit: number;
}

/** The memory that all devices of a key store share for caching; a bound in bytes, not a reservation. */
export type CacheMemory = LRUCache<string, Known>;

export function cacheMemory(maxBytes: number): CacheMemory | undefined {
  if (maxBytes === 0) return undefined;
  return new LRUCache<string, Known>({
    maxSize: maxBytes,
    // A value that would push out most of the others is not worth keeping.
    maxEntrySize: Math.max(1, Math.floor(maxBytes / 4)),
    sizeCalculation: (known, key) => key.length + (known.value?.byteLength ?? 0) + ENTRY_BYTES,
  });
}

let openings = 0;

/**
 * The read cache of one open device: present and absent keys alike. It is
 * coherent because a device has one writer, and every commit of that writer
 * goes through {@link ReadCache.writing}. Its entries carry a number that is
 * new with every opening, so that a device opened again never sees them.
 */
export class ReadCache implements RecordReader {
  readonly #base: RecordReader;
  readonly #memory: CacheMemory;
  readonly #counters: Counters;
  readonly #opening = `${++openings}`;
  /** Moves with every write, so that a read that began before it keeps nothing. */
  #writes = 0;
  #writing = false;
  /** Collections whose keys were listed: their records are likely to be read one by one, in that order. */
  readonly #listed = new Map<string, ReadAhead>();
  /** Moves when a collection loses keys that are not named, so that what is kept of it is not found again. */
  readonly #generations = new Map<string, number>();

  constructor(base: RecordReader, memory: CacheMemory, counters: Counters) {
    this.#base = base;
    this.#memory = memory;
    this.#counters = counters;
  }

  /** The value of a key if the cache knows it: so that a read of known keys needs no turn of the event loop. */
  peek(collection: string, key: Uint8Array): Known | undefined {
    return this.#memory.get(this.#name(collection, toText(key)));
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = new Array(keys.length);
    const missing: number[] = [];
    keys.forEach((key, index) => {
      const known = this.peek(collection, key);
      if (known === undefined) missing.push(index);
      else values[index] = known.value;
    });
    this.#counters.cacheHits += keys.length - missing.length;
    this.#counters.cacheMisses += missing.length;
    const [only, ...others] = missing;
    if (only === undefined) return values;
    const onlyKey = keys[only];
    const ahead = others.length === 0 ? this.#listed.get(collection) : undefined;
    if (ahead !== undefined && onlyKey !== undefined) {
      values[only] = await this.#readAhead(collection, onlyKey, ahead);
      return values;
    }
    const ask = missing.map((index) => keys[index] as Uint8Array);
    const keep = this.#keeper(collection);
    const found = await this.#base.getMany(collection, ask);
    missing.forEach((index, nth) => {
      values[index] = found[nth];
      keep(ask[nth] as Uint8Array, found[nth]);
    });
    return values;
  }

  async list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    const keep = this.#keeper(collection);
    const records = await this.#base.list(collection, range, page);
    if (page.keysOnly) this.#listed.set(collection, { from: EMPTY, limit: READ_AHEAD.first });
    else for (const { key, value } of records) keep(key, value);
    return records;
  }

  count(collection: string, range?: KeyRange): Promise<number> {
    return this.#base.count(collection, range);
  }

  /**
   * Runs a commit. What it wrote is kept when it has succeeded; until then,
   * and after a failure, nothing is kept of the collections that it touches.
   */
  async writing(changes: readonly CollectionChanges[], commit: () => Promise<void>): Promise<void> {
    this.#writes += 1;
    this.#writing = true;
    try {
      for (const change of changes) {
        for (const key of change.deletes) this.#memory.delete(this.#name(change.collection, toText(key)));
        for (const { key } of change.puts) this.#memory.delete(this.#name(change.collection, toText(key)));
        if (change.drop || change.removed.length > 0) {
          this.#generations.set(change.collection, this.#writes);
        }
      }
      await commit();
    } finally {
      this.#writes += 1;
      this.#writing = false;
    }
    for (const { collection, puts, deletes } of changes) {
      for (const { key, value } of puts) this.#memory.set(this.#name(collection, toText(key)), { value });
      for (const key of deletes) this.#memory.set(this.#name(collection, toText(key)), { value: undefined });
    }
  }

  /** Reads a key and those after it in one go; the next misses are then none. */
  async #readAhead(collection: string, key: Uint8Array, ahead: ReadAhead): Promise<Uint8Array | undefined> {
    if (compareBytes(key, ahead.from) < 0) {
      this.#listed.delete(collection);
      const [value] = await this.getMany(collection, [key]);
      return value;
    }
    const keep = this.#keeper(collection);
    const records = await this.#base.list(collection, { gte: key }, { limit: ahead.limit });
    for (const record of records) keep(record.key, record.value);
    const room = sizeOf(records) * 2 <= READ_AHEAD.bytes;
    const limit = Math.max(1, room ? Math.min(ahead.limit * 2, READ_AHEAD.most) : Math.floor(ahead.limit / 2));
    this.#listed.set(collection, { from: records.at(-1)?.key ?? key, limit });
    const [first] = records;
    if (first !== undefined && compareBytes(first.key, key) === 0) return first.value;
    keep(key, undefined);
    return undefined;
  }

  /** What keeps the answer of a read that begins now, unless a write comes between. */
  #keeper(collection: string): (key: Uint8Array, value: Uint8Array | undefined) => void {
    const writes = this.#writes;
    const began = this.#writing;
    return (key, value) => {
      if (began || writes !== this.#writes) return;
      this.#memory.set(this.#name(collection, toText(key)), { value });
    };
  }

  /** Unambiguous: neither an opening, a generation nor a collection's name holds a U+0000. */
  #name(collection: string, key: string): string {
    return `${this.#opening}\0${this.#generations.get(collection) ?? 0}\0${collection}\0${key}`;
  }
}
