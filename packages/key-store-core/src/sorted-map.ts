import BTreeModule from "sorted-btree";

// The package is CommonJS: its default export is the class itself or one step further in, as the importing tool has it.
const imported: unknown = BTreeModule;
const BTree = (typeof imported === "function" ? imported : BTreeModule.default) as typeof BTreeModule.default;

/**
 * A map from text in the form of `toText` to values, in bytewise order of the
 * keys.
 */
export interface SortedMap<V> {
  /** How many entries there are. */
  readonly size: number;
  /** Puts a value, and says whether its key is new. */
  set(key: string, value: V): boolean;
  /** Takes an entry out, and says whether there was one. */
  delete(key: string): boolean;
  /** The entries from `lowest` on; all of them by default. */
  entries(lowest?: string): IterableIterator<[string, V]>;
  /** The entries from `highest` down, that one left out with `skipHighest`. `reused` stays `undefined`. */
  entriesReversed(highest?: string, reused?: undefined, skipHighest?: boolean): IterableIterator<[string, V]>;
  /** The entry of a key, or of the greatest below it. */
  getPairOrNextLower(key: string): [string, V] | undefined;
  /** The entry of a key, or of the least above it. */
  getPairOrNextHigher(key: string): [string, V] | undefined;
  /** The entry of the least key above this one. */
  nextHigherPair(key: string): [string, V] | undefined;
}

/** An empty {@link SortedMap}. */
export function sortedMap<V>(): SortedMap<V> {
  return new BTree<string, V>(undefined, compareText);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
