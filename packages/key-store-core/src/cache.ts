import { LRUCache } from "lru-cache";
import { compareBytes, EMPTY, sizeOf, toText } from "./bytes.ts";
import type { Counters } from "./counters.ts";
import type { CollectionChanges } from "./driver.ts";
import { KeyBudget, KeySets } from "./key-sets.ts";
import { toByteRange } from "./ranges.ts";
import type { KeyRange, Known, Page, RecordReader, StoredRecord } from "./records.ts";

/** What the cache holds of a key: its value, or that there is none. */
type Held = { readonly value: Uint8Array | undefined };

/** A listing that is kept whole. */
type Listing = { readonly records: readonly StoredRecord[] };

/** What an entry costs beside its key and value: objects, strings and the places in the maps, as measured on small records. */
const ENTRY_BYTES = 320;

/** The most bytes of a listing that is kept: of the small ones that are whole and made again and again, such as a user's devices. */
const LISTING_BYTES = 64 * 1024;

/** The part of the memory that is for knowing which keys there are. */
const KEYS_SHARE = 1 / 4;

/** How many records a miss brings along where keys were listed before: at first, and at most. */
const READ_AHEAD = { first: 16, most: 1_024, bytes: 1024 * 1024 } as const;

/** A commit that writes more records of a collection than this leaves nothing of it in the cache: its records are not those that are read soon. */
const MANY_WRITES = 1_024;

/** Where read-ahead stands in a collection whose keys were listed. */
interface ReadAhead {
  /** Nothing before this key is read ahead: whoever goes back is not walking the keys in order. */
  readonly from: Uint8Array;
  readonly limit: number;
}

/** The memory that all devices of a key store share for caching; bounds in bytes, not reservations. */
export interface CacheMemory {
  readonly entries: LRUCache<string, Held | Listing>;
  readonly keys: KeyBudget;
}

/** The memory for a cache; `undefined` where there is to be none. */
export function cacheMemory(maxBytes: number): CacheMemory | undefined {
  if (maxBytes === 0) return undefined;
  const keyBytes = Math.floor(maxBytes * KEYS_SHARE);
  const entries = new LRUCache<string, Held | Listing>({
    maxSize: Math.max(1, maxBytes - keyBytes),
    // A value that would push out most of the others is not worth keeping.
    maxEntrySize: Math.max(1, Math.floor(maxBytes / 4)),
    sizeCalculation: (entry, name) => name.length + ENTRY_BYTES + bytesOf(entry),
  });
  return { entries, keys: new KeyBudget(keyBytes) };
}

function bytesOf(entry: Held | Listing): number {
  if ("records" in entry) return sizeOf(entry.records) + entry.records.length * ENTRY_BYTES;
  return entry.value?.byteLength ?? 0;
}

const ABSENT: Held = Object.freeze({ value: undefined });

let openings = 0;

/**
 * The read cache of one open device: present and absent keys alike. It is
 * coherent because a device has one writer, and every commit of that writer
 * goes through {@link ReadCache.writing}. Its entries carry a number that is
 * new with every opening, so that a device opened again never sees them.
 */
export class ReadCache implements RecordReader {
  readonly #base: RecordReader;
  readonly #memory: CacheMemory["entries"];
  readonly #keys: KeySets;
  readonly #counters: Counters;
  readonly #opening = `${++openings}`;
  /** Moves with every write, so that a read that began before it keeps nothing. */
  #writes = 0;
  #writing = false;
  /** Collections whose keys were listed: their records are likely to be read one by one, in that order. */
  readonly #listed = new Map<string, ReadAhead>();
  /** Moves when a collection loses keys that are not named, so that what is kept of it is not found again. */
  readonly #generations = new Map<string, number>();
  /** Moves with every write to a collection, so that its listings are not found again. */
  readonly #versions = new Map<string, number>();

  constructor(base: RecordReader, memory: CacheMemory, counters: Counters) {
    this.#base = base;
    this.#memory = memory.entries;
    this.#keys = new KeySets(base, memory.keys);
    this.#counters = counters;
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = new Array(keys.length);
    const missing: number[] = [];
    keys.forEach((key, index) => {
      const known = this.#held(collection, key);
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
    const unchanged = this.#watch();
    const found = await this.#base.getMany(collection, ask);
    let absent = 0;
    missing.forEach((index, nth) => {
      const value = found[nth];
      values[index] = value;
      if (value === undefined) absent += 1;
      if (unchanged()) this.#keep(collection, ask[nth] as Uint8Array, value);
    });
    if (absent > 0) await this.#keys.missed(collection, absent, unchanged);
    return values;
  }

  /** Only what it holds itself: behind it is a database. */
  peek(collection: string, key: Uint8Array): Known {
    const entry = this.#held(collection, key);
    if (entry === undefined) return "unknown";
    this.#counters.cacheHits += 1;
    return entry.value;
  }

  async list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    const name = this.#listingName(collection, range, page);
    const kept = this.#memory.get(name);
    if (kept !== undefined && "records" in kept) return kept.records.slice();
    const unchanged = this.#watch();
    const records = await this.#base.list(collection, range, page);
    if (page.keysOnly) this.#listed.set(collection, { from: EMPTY, limit: READ_AHEAD.first });
    // A full page is one of many, of a walk over more than should push out everything else.
    const isWhole = records.length < page.limit && sizeOf(records) <= LISTING_BYTES;
    if (!isWhole || !unchanged()) return records;
    if (!page.keysOnly) for (const { key, value } of records) this.#keep(collection, key, value);
    this.#memory.set(name, { records: records.slice() });
    return records;
  }

  /** Gives back the memory that was not only lent. What else is kept ages out: no opening finds it again. */
  close(): void {
    this.#keys.clear();
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
        this.#versions.set(change.collection, this.#writes);
        this.#keys.written(change);
        if (change.drop || change.removed.length > 0 || isLarge(change)) {
          this.#generations.set(change.collection, this.#writes);
          continue;
        }
        const prefix = this.#prefix(change.collection);
        for (const key of change.deletes) this.#memory.delete(prefix + toText(key));
        for (const { key } of change.puts) this.#memory.delete(prefix + toText(key));
      }
      await commit();
    } finally {
      this.#writes += 1;
      this.#writing = false;
    }
    for (const change of changes) {
      if (isLarge(change)) continue;
      const prefix = this.#prefix(change.collection);
      for (const { key, value } of change.puts) this.#memory.set(prefix + toText(key), { value });
      for (const key of change.deletes) this.#memory.set(prefix + toText(key), ABSENT);
    }
  }

  /** Reads a key and those after it in one go; the next misses are then none. */
  async #readAhead(collection: string, key: Uint8Array, ahead: ReadAhead): Promise<Uint8Array | undefined> {
    if (compareBytes(key, ahead.from) < 0) {
      this.#listed.delete(collection);
      const [value] = await this.getMany(collection, [key]);
      return value;
    }
    const unchanged = this.#watch();
    const records = await this.#base.list(collection, { gte: key }, { limit: ahead.limit });
    if (unchanged()) for (const record of records) this.#keep(collection, record.key, record.value);
    const room = sizeOf(records) * 2 <= READ_AHEAD.bytes;
    const limit = Math.max(1, room ? Math.min(ahead.limit * 2, READ_AHEAD.most) : Math.floor(ahead.limit / 2));
    this.#listed.set(collection, { from: records.at(-1)?.key ?? key, limit });
    const [first] = records;
    if (first !== undefined && compareBytes(first.key, key) === 0) return first.value;
    if (unchanged()) this.#keep(collection, key, undefined);
    return undefined;
  }

  /** What is known of a key without asking the database. */
  #held(collection: string, key: Uint8Array): Held | undefined {
    const text = toText(key);
    const entry = this.#memory.get(this.#prefix(collection) + text);
    if (entry !== undefined && "value" in entry) return entry;
    return this.#keys.lacks(collection, text) ? ABSENT : undefined;
  }

  #keep(collection: string, key: Uint8Array, value: Uint8Array | undefined): void {
    this.#memory.set(this.#prefix(collection) + toText(key), value === undefined ? ABSENT : { value });
  }

  /** Tells later whether a read that begins now saw what is there then: whether no write has come between. */
  #watch(): () => boolean {
    const writes = this.#writes;
    const began = this.#writing;
    return () => !began && writes === this.#writes;
  }

  /** What the names of a collection's entries begin with, before the key. Unambiguous: no part of it holds a U+0000. */
  #prefix(collection: string): string {
    return `${this.#opening}\0${this.#generations.get(collection) ?? 0}\0${collection}\0`;
  }

  /** Unambiguous, and unlike the name of any key: the length of the first bound tells where the second begins. */
  #listingName(collection: string, range: KeyRange, page: Page): string {
    const { start, end } = toByteRange(range);
    const version = this.#versions.get(collection) ?? 0;
    const shape = `${page.limit} ${page.reverse ?? false} ${page.keysOnly ?? false}`;
    const bounds = `${start.byteLength} ${end !== undefined}\0${toText(start)}${end === undefined ? "" : toText(end)}`;
    return `${this.#opening}\0listing ${version}\0${collection}\0${shape} ${bounds}`;
  }
}

function isLarge({ puts, deletes }: CollectionChanges): boolean {
  return puts.length + deletes.length > MANY_WRITES;
}
