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
  /** Whether all keys have come in order, and the greatest that has come. */
  #cameInOrder = true;
  #greatest: string | undefined;

  get size(): number {
    return this.#values.size;
  }

  get(text: string): V | undefined {
    return this.#values.get(text);
  }

  set(text: string, value: V): void {
    if (this.#greatest === undefined || text > this.#greatest) {
      this.#greatest = text;
      this.#keys = undefined;
    } else if ((this.#cameInOrder || this.#keys !== undefined) && !this.#values.has(text)) {
      this.#cameInOrder = false;
      this.#keys = undefined;
    }
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
    this.#cameInOrder = true;
    this.#greatest = undefined;
  }

  /** All pairs, in no order. */
  [Symbol.iterator](): IterableIterator<[string, V]> {
    return this.#values.entries();
  }

  /** All values, in no order. */
  values(): IterableIterator<V> {
    return this.#values.values();
  }

  /** Calls back with all pairs, in order. Nothing is kept for it. The map is not to be changed meanwhile. */
  forEachInOrder(visit: (value: V, text: string) => void): void {
    if (this.#tree !== undefined) for (const [text, value] of this.#tree.entries()) visit(value, text);
    else if (this.#cameInOrder) this.#values.forEach(visit);
    else for (const [text, value] of [...this.#values].sort((a, b) => (a[0] < b[0] ? -1 : 1))) visit(value, text);
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
      this.forEachInOrder((value, text) => tree.set(text, value));
      this.#tree = tree;
      return;
    }
    const keys = [...this.#values.keys()];
    // The order of code units, which is that of the bytes.
    this.#keys = this.#cameInOrder ? keys : keys.sort();
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
