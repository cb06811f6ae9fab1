import { type SortedMap, sortedMap } from "./sorted-map.ts";

/**
 * A map from text in the form of `toText` to values, which is put in order when
 * somebody asks for a range of it: many are written, read by key, and never
 * listed. The first order is a list, which the next new key makes worthless;
 * a map whose order is wanted a second time keeps it.
 */
export class TextMap<V> {
  readonly #values = new Map<string, V>();
  /** All keys in order; undefined before the first order, after a change to the keys, and beside {@link #tree}. */
  #keys: readonly string[] | undefined;
  /** The same pairs, kept in order. */
  #tree: SortedMap<V> | undefined;
  #wasOrdered = false;

  get size(): number {
    return this.#values.size;
  }

  get(text: string): V | undefined {
    return this.#values.get(text);
  }

  set(text: string, value: V): void {
    if (this.#keys !== undefined && !this.#values.has(text)) this.#keys = undefined;
    this.#values.set(text, value);
    this.#tree?.set(text, value);
  }

  delete(text: string): void {
    if (!this.#values.delete(text)) return;
    this.#keys = undefined;
    this.#tree?.delete(text);
  }

  clear(): void {
    this.#values.clear();
    this.#keys = undefined;
    this.#tree = undefined;
  }

  /** All pairs, in no order. */
  [Symbol.iterator](): IterableIterator<[string, V]> {
    return this.#values.entries();
  }

  /** All values, in no order. */
  values(): IterableIterator<V> {
    return this.#values.values();
  }

  /** All pairs, in order. Nothing is kept for it. */
  inOrder(): Iterable<[string, V]> {
    if (this.#tree !== undefined) return this.#tree.entries();
    const pairs = [...this.#values];
    return isInOrder(pairs, (pair) => pair[0]) ? pairs : pairs.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }

  /**
   * The pairs from `start` on and before `end`, in order or from the end. No
   * `end` is no bound. The map is not to be changed before the last was taken.
   */
  *within(start: string, end: string | undefined, reverse = false): IterableIterator<[string, V]> {
    if (this.#values.size === 0) return;
    this.#order();
    const tree = this.#tree;
    if (tree === undefined) {
      const keys = this.#keys as readonly string[]; // there is one of the two
      const first = placeOf(keys, start);
      const behind = end === undefined ? keys.length : placeOf(keys, end);
      if (reverse) for (let at = behind - 1; at >= first; at -= 1) yield this.#pair(keys[at] as string);
      else for (let at = first; at < behind; at += 1) yield this.#pair(keys[at] as string);
    } else if (reverse) {
      // entriesReversed() starts at its bound, which a half-open range leaves out.
      for (const pair of tree.entriesReversed(end, undefined, end !== undefined)) {
        if (pair[0] < start) return;
        yield pair;
      }
    } else {
      for (const pair of tree.entries(start)) {
        if (end !== undefined && pair[0] >= end) return;
        yield pair;
      }
    }
  }

  #pair(text: string): [string, V] {
    return [text, this.#values.get(text) as V];
  }

  #order(): void {
    if (this.#keys !== undefined || this.#tree !== undefined) return;
    if (this.#wasOrdered) {
      const tree = sortedMap<V>();
      for (const [text, value] of this.inOrder()) tree.set(text, value);
      this.#tree = tree;
      return;
    }
    const keys = [...this.#values.keys()];
    // The order of code units, which is that of the bytes.
    this.#keys = isInOrder(keys, (key) => key) ? keys : keys.sort();
    this.#wasOrdered = true;
  }
}

/** Where a key stands in an order, or would: before the first that is not less. */
function placeOf(keys: readonly string[], key: string): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) < key)
      low = middle + 1; // within its length
    else high = middle;
  }
  return low;
}

/** Many come in order; to see that takes less than to sort them. */
function isInOrder<T>(items: readonly T[], keyOf: (item: T) => string): boolean {
  for (let at = 1; at < items.length; at += 1) {
    if (keyOf(items[at - 1] as T) > keyOf(items[at] as T)) return false; // within its length
  }
  return true;
}
