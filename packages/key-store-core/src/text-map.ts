import { type SortedMap, sortedMap } from "./sorted-map.ts";

/**
 * A map from text in the form of `toText` to values, which is sorted from the
 * first time that somebody asks for a range of it: many are written, read by
 * key, and never listed.
 */
export class TextMap<V> {
  readonly #values = new Map<string, V>();
  #sorted: SortedMap<V> | undefined;

  get size(): number {
    return this.#values.size;
  }

  get(text: string): V | undefined {
    return this.#values.get(text);
  }

  set(text: string, value: V): void {
    this.#values.set(text, value);
    this.#sorted?.set(text, value);
  }

  delete(text: string): void {
    this.#values.delete(text);
    this.#sorted?.delete(text);
  }

  clear(): void {
    this.#values.clear();
    this.#sorted = undefined;
  }

  /** All pairs, in no order. */
  [Symbol.iterator](): IterableIterator<[string, V]> {
    return this.#values.entries();
  }

  /** All values, in no order. */
  values(): IterableIterator<V> {
    return this.#values.values();
  }

  /** All pairs, in order. Nothing stays sorted for it. */
  inOrder(): Iterable<[string, V]> {
    if (this.#sorted !== undefined) return this.#sorted.entries();
    const pairs = [...this.#values];
    return isInOrder(pairs) ? pairs : pairs.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }

  /** The pairs from `start` on and before `end`, in order or from the end. No `end` is no bound. */
  *within(start: string, end: string | undefined, reverse = false): IterableIterator<[string, V]> {
    if (this.#values.size === 0) return;
    const sorted = this.#sorted ?? this.#sort();
    if (!reverse) {
      for (const pair of sorted.entries(start)) {
        if (end !== undefined && pair[0] >= end) return;
        yield pair;
      }
      return;
    }
    // entriesReversed() starts at its bound, which a half-open range leaves out.
    for (const pair of sorted.entriesReversed(end, undefined, end !== undefined)) {
      if (pair[0] < start) return;
      yield pair;
    }
  }

  #sort(): SortedMap<V> {
    const sorted = sortedMap<V>();
    for (const [text, value] of this.inOrder()) sorted.set(text, value);
    this.#sorted = sorted;
    return sorted;
  }
}

/** Many come in order; to see that takes less than to sort them. */
function isInOrder(pairs: readonly (readonly [string, unknown])[]): boolean {
  for (let at = 1; at < pairs.length; at += 1) {
    if ((pairs[at - 1] as [string, unknown])[0] > (pairs[at] as [string, unknown])[0]) return false; // within its length
  }
  return true;
}
