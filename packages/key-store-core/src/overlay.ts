import { EMPTY, successor, toText } from "./bytes.ts";
import { CollectionOverlay, type Entry } from "./collection-overlay.ts";
import type { CollectionChanges } from "./driver.ts";
import { fromTextRange, isEmptyRange, type TextRange, toByteRange, toKeyRange, toTextRange } from "./ranges.ts";
import type { Change, KeyRange, Known, Page, RecordReader, StoredRecord } from "./records.ts";

/** The most records of the base that a page asks for beyond its own limit. */
const SHADOWED = 256;

/**
 * Changes that are not in the store yet, laid over what is: reads see the
 * records as they will be. A batch is one, and so is a transaction.
 *
 * Changes are taken in order and kept reduced, each key once, so that memory
 * is bounded by what is written. It is itself the changes that a device store
 * commits: `store.commit(overlay)`.
 */
export class Overlay implements RecordReader, Iterable<Change> {
  readonly #base: RecordReader;
  readonly #collections = new Map<string, CollectionOverlay>();

  constructor(base: RecordReader) {
    this.#base = base;
  }

  /** Whether nothing was applied to it. */
  get isEmpty(): boolean {
    return this.#collections.size === 0;
  }

  /** Applies a valid change; it is seen by the next read. */
  apply(change: Change): void {
    if (change.type === "put") this.put(change.collection, change.key, change.value);
    else if (change.type === "delete") this.delete(change.collection, change.key);
    else if (change.type === "deleteRange") this.#of(change.collection).deleteRange(toByteRange(change.range));
    else this.#of(change.collection).drop();
  }

  /** As {@link Overlay.apply} of a put, for which no change need be made. */
  put(collection: string, key: Uint8Array, value: Uint8Array): void {
    this.#of(collection).put(key, value);
  }

  /** As {@link Overlay.apply} of a delete. */
  delete(collection: string, key: Uint8Array): void {
    this.#of(collection).delete(key);
  }

  /**
   * Takes in all that a later overlay holds, which must not be used afterwards:
   * a transaction becomes part of a batch as it is, without its changes being
   * made again one by one.
   */
  absorb(later: Overlay): void {
    for (const [collection, overlay] of later.#collections) {
      const mine = this.#collections.get(collection);
      if (mine === undefined) this.#collections.set(collection, overlay);
      else mine.absorb(overlay);
    }
  }

  /** Calls back with every key that is put or deleted, and the value that is put. */
  forEach(visit: (collection: string, key: Uint8Array, value: Uint8Array | undefined) => void): void {
    for (const [collection, overlay] of this.#collections) {
      overlay.forEach((key, value) => {
        visit(collection, key, value);
      });
    }
  }

  /** All changes, each collection once and each key once: what a driver commits. */
  reduced(): CollectionChanges[] {
    return Array.from(this.#collections, ([collection, overlay]) => overlay.changes(collection));
  }

  /** All changes, in an order that has the same effect as the one they came in. */
  *[Symbol.iterator](): IterableIterator<Change> {
    for (const { collection, drop, removed, deletes, puts } of this.reduced()) {
      if (drop) yield { type: "dropCollection", collection };
      for (const range of removed) yield { type: "deleteRange", collection, range: toKeyRange(range) };
      for (const key of deletes) yield { type: "delete", collection, key };
      for (const { key, value } of puts) yield { type: "put", collection, key, value };
    }
  }

  /** The value of a key as it is here, its base left aside: `"unknown"` where that decides. */
  own(collection: string, key: Uint8Array): Known {
    const overlay = this.#collections.get(collection);
    if (overlay === undefined) return "unknown";
    const text = toText(key);
    const entry = overlay.get(text);
    if (entry !== undefined) return entry.value;
    return overlay.removes(text) ? undefined : "unknown";
  }

  getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (!this.#collections.has(collection)) return this.#base.getMany(collection, keys);
    return this.#getMany(collection, keys);
  }

  async list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    const overlay = this.#collections.get(collection);
    if (overlay === undefined) return this.#base.list(collection, range, page);
    const reverse = page.reverse ?? false;
    const within = toTextRange(toByteRange(range));
    if (isEmptyRange(within)) return [];
    // Taken before the first wait: what is applied meanwhile is not part of this answer.
    const mine = overlay.snapshot(within, reverse, page.limit);
    const gaps = [...overlay.gaps(within)];
    if (reverse) gaps.reverse();
    const shadowed = new Set(mine.map(([text]) => text));
    const merged: StoredRecord[] = [];
    let next = 0;

    /** Takes entries up to `bound`, or all where there is none, into the page; true when it is full. */
    const takeMine = (bound?: string): boolean => {
      for (; next < mine.length && merged.length < page.limit; next += 1) {
        const [text, { key, value }] = mine[next] as [string, Entry];
        if (bound !== undefined && (reverse ? text < bound : text > bound)) break;
        if (value !== undefined) merged.push({ key, value: page.keysOnly ? EMPTY : value });
      }
      return merged.length >= page.limit;
    };

    for (const gap of gaps) {
      let rest: TextRange | undefined = gap;
      while (rest !== undefined) {
        // Room for those of its records that entries stand over: they are read, and not returned.
        const limit = page.limit - merged.length + Math.min(mine.length - next, SHADOWED);
        const found: StoredRecord[] = await this.#base.list(collection, toKeyRange(fromTextRange(rest)), {
          ...page,
          limit,
        });
        for (const record of found) {
          const text = toText(record.key);
          if (takeMine(text)) return merged;
          if (!shadowed.has(text)) merged.push(record);
          if (merged.length >= page.limit) return merged;
        }
        const last = found.length < limit ? undefined : found.at(-1);
        if (last === undefined) rest = undefined;
        else if (reverse) rest = { start: rest.start, end: toText(last.key) };
        else rest = { start: toText(successor(last.key)), end: rest.end };
      }
      // Before the base is asked for records that lie behind them, this overlay's own may fill the page.
      if (takeMine(reverse ? gap.start : gap.end)) return merged;
    }
    takeMine();
    return merged;
  }

  async count(collection: string, range: KeyRange = {}): Promise<number> {
    const overlay = this.#collections.get(collection);
    if (overlay === undefined) return this.#base.count(collection, range);
    const within = toTextRange(toByteRange(range));
    // Taken before the first wait: what is applied meanwhile is not part of this answer.
    const gaps = [...overlay.gaps(within)];
    const shadowing: Uint8Array[] = [];
    let count = 0;
    for (const [text, { key, value }] of overlay.within(within, false)) {
      if (value !== undefined) count += 1;
      if (!overlay.removes(text)) shadowing.push(key);
    }
    for (const gap of gaps) count += await this.#base.count(collection, toKeyRange(fromTextRange(gap)));
    // An entry over a record of the base was counted there, whatever the entry says now.
    for (const value of shadowing.length === 0 ? [] : await this.#base.getMany(collection, shadowing)) {
      if (value !== undefined) count -= 1;
    }
    return count;
  }

  peek(collection: string, key: Uint8Array): Known {
    const own = this.own(collection, key);
    return own === "unknown" && this.#base.peek !== undefined ? this.#base.peek(collection, key) : own;
  }

  #of(collection: string): CollectionOverlay {
    let overlay = this.#collections.get(collection);
    if (overlay === undefined) {
      overlay = new CollectionOverlay();
      this.#collections.set(collection, overlay);
    }
    return overlay;
  }

  async #getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = new Array(keys.length);
    const missing: number[] = [];
    const ask: Uint8Array[] = [];
    keys.forEach((key, index) => {
      const known = this.own(collection, key);
      if (known === "unknown") {
        missing.push(index);
        ask.push(key);
      } else values[index] = known;
    });
    if (ask.length > 0) {
      const found = await this.#base.getMany(collection, ask);
      missing.forEach((index, nth) => {
        values[index] = found[nth];
      });
    }
    return values;
  }
}
