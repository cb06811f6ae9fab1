import { toText } from "./bytes.ts";
import type { CollectionChanges } from "./driver.ts";
import type { KeyRange, RecordReader } from "./records.ts";

/** How many keys of a collection have to be missed before all of its keys are asked for. */
const MISSES = 16;

/** How many keys are asked for at a time. */
const PAGE = 10_000;

/** What a key costs beside its bytes. */
const KEY_BYTES = 64;

/** How many bytes of keys all devices of a key store may hold together. */
export class KeyBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes bytes out, or leaves it as it is and answers false. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** What is known of the keys of one collection. */
interface KnownKeys {
  misses: number;
  /** Every key that the collection has; `undefined` until they were read. */
  keys: Set<string> | undefined;
  bytes: number;
  /** Whether reading them is under way, or was given up for want of room. */
  settled: boolean;
}

/**
 * Which keys the collections of one device have, for those that are asked for
 * keys they have not: a program that looks whether something is new, thousands
 * of times, should not ask the database each time. Memory comes out of a
 * budget; a collection that has no room in it is not remembered.
 */
export class KeySets {
  readonly #base: RecordReader;
  readonly #budget: KeyBudget;
  readonly #collections = new Map<string, KnownKeys>();

  constructor(base: RecordReader, budget: KeyBudget) {
    this.#base = base;
    this.#budget = budget;
  }

  /** Whether the collection is known not to have this key. */
  lacks(collection: string, text: string): boolean {
    const keys = this.#collections.get(collection)?.keys;
    return keys !== undefined && !keys.has(text);
  }

  /**
   * Counts keys that were not found, and reads all keys of the collection when
   * there have been many. `unchanged` tells whether nothing was written since.
   */
  async missed(collection: string, count: number, unchanged: () => boolean): Promise<void> {
    const known = this.#collections.get(collection) ?? { misses: 0, keys: undefined, bytes: 0, settled: false };
    this.#collections.set(collection, known);
    known.misses += count;
    if (known.settled || known.misses < MISSES) return;
    known.settled = true;
    const found = await this.#readAll(collection);
    if (found === undefined) return;
    if (unchanged() && this.#collections.get(collection) === known) {
      known.keys = found.keys;
      known.bytes = found.bytes;
      return;
    }
    this.#budget.giveBack(found.bytes);
    known.settled = false;
  }

  /** Takes in what a commit is about to write. Deleted keys stay: that a key is known to be absent is all that counts. */
  written({ collection, drop, removed, puts }: CollectionChanges): void {
    const known = this.#collections.get(collection);
    if (known?.keys === undefined) return;
    for (const { key } of drop || removed.length > 0 ? [] : puts) {
      const text = toText(key);
      if (known.keys.has(text)) continue;
      const bytes = text.length + KEY_BYTES;
      if (!this.#budget.take(bytes)) {
        this.#forget(collection, known);
        return;
      }
      known.bytes += bytes;
      known.keys.add(text);
    }
    if (drop || removed.length > 0) this.#forget(collection, known);
  }

  /** Gives its memory back. */
  clear(): void {
    for (const [collection, known] of this.#collections) this.#forget(collection, known);
  }

  #forget(collection: string, known: KnownKeys): void {
    this.#budget.giveBack(known.bytes);
    this.#collections.delete(collection);
  }

  /** All keys of a collection, paid for; `undefined` where there is no room for them. */
  async #readAll(collection: string): Promise<{ keys: Set<string>; bytes: number } | undefined> {
    // A number first, which costs little: a million keys are not begun with.
    const reserved = (await this.#base.count(collection)) * KEY_BYTES;
    if (!this.#budget.take(reserved)) return undefined;
    let kept = false;
    try {
      const keys = new Set<string>();
      let bytes = 0;
      let range: KeyRange = {};
      for (;;) {
        const records = await this.#base.list(collection, range, { limit: PAGE, keysOnly: true });
        for (const { key } of records) {
          bytes += key.byteLength;
          keys.add(toText(key));
        }
        const last = records.at(-1);
        if (last === undefined || records.length < PAGE) break;
        range = { gt: last.key };
      }
      kept = this.#budget.take(bytes);
      return kept ? { keys, bytes: reserved + bytes } : undefined;
    } finally {
      if (!kept) this.#budget.giveBack(reserved);
    }
  }
}
