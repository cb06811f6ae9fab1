import BTreeModule from "sorted-btree";

// The package is CommonJS: its default export is the class itself or one step further in, as the importing tool has it.
const imported: unknown = BTreeModule;
const BTree = (typeof imported === "function" ? imported : BTreeModule.default) as typeof BTreeModule.default;

/** A map from text in the form of `toText` to values, in bytewise order of the keys. */
export type SortedMap<V> = InstanceType<typeof BTree<string, V>>;

/** An empty {@link SortedMap}. */
export function sortedMap<V>(): SortedMap<V> {
  return new BTree<string, V>(undefined, compareText);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
