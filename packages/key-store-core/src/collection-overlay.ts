import { successor, toText } from "./bytes.ts";
import type { ByteRange, CollectionChanges } from "./driver.ts";
import { EVERYTHING, fromTextRange, isEmptyRange, RangeSet, type TextRange, toTextRange } from "./ranges.ts";
import type { StoredRecord } from "./records.ts";
import { TextMap } from "./text-map.ts";

/** What an overlay holds of one key: its bytes, and its value or that it is deleted. */
export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** What an overlay holds of one collection. */
export class CollectionOverlay {
  /** Entries win over what is removed; a deleted key inside that has no entry. */
  readonly #entries = new TextMap<Entry>();
  #removed: RangeSet | undefined;
  #dropped = false;

  get(text: string): Entry | undefined {
    return this.#entries.get(text);
  }

  /** Whether the base's record of this key is not to be seen, apart from entries. */
  removes(text: string): boolean {
    return this.#removed?.has(text) ?? false;
  }

  /** The parts of a range where the base is still to be seen, in order or from the end. */
  gaps(range: TextRange): Iterable<TextRange> {
    return this.#removed?.gaps(range) ?? [range];
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#entries.set(toText(key), { key, value });
  }

  delete(key: Uint8Array): void {
    const text = toText(key);
    if (this.removes(text)) this.#entries.delete(text);
    else this.#entries.set(text, { key, value: undefined });
  }

  deleteRange(range: ByteRange): void {
    const text = toTextRange(range);
    if (isEmptyRange(text)) return;
    for (const [key] of [...this.within(text, false)]) this.#entries.delete(key);
    this.#removed ??= new RangeSet();
    this.#removed.add(text);
  }

  drop(): void {
    this.#entries.clear();
    this.#removed = new RangeSet();
    this.#removed.add(toTextRange(EVERYTHING));
    this.#dropped = true;
  }

  /** Entries of a range, in order or from the end. */
  within(range: TextRange, reverse: boolean): IterableIterator<[string, Entry]> {
    return this.#entries.within(range.start, range.end, reverse);
  }

  /** The entries of a range that can matter to a page: up to its `limit`-th record, deleted keys included. */
  snapshot(range: TextRange, reverse: boolean, limit: number): [string, Entry][] {
    const entries: [string, Entry][] = [];
    let records = 0;
    for (const pair of this.within(range, reverse)) {
      entries.push(pair);
      if (pair[1].value !== undefined) records += 1;
      if (records === limit) break;
    }
    return entries;
  }

  /** Takes in what a later overlay of the same collection holds. */
  absorb(later: CollectionOverlay): void {
    if (later.#dropped) this.drop();
    for (const range of later.#removed ?? []) this.deleteRange(fromTextRange(range));
    for (const [text, entry] of later.#entries) {
      if (entry.value === undefined && this.removes(text)) this.#entries.delete(text);
      else this.#entries.set(text, entry);
    }
  }

  /** Calls back with every key that is put or deleted, and the value that is put. */
  forEach(visit: (key: Uint8Array, value: Uint8Array | undefined) => void): void {
    for (const { key, value } of this.#entries.values()) visit(key, value);
  }

  changes(collection: string): CollectionChanges {
    const puts: StoredRecord[] = [];
    const deletes: Uint8Array[] = [];
    const kept = new RangeSet();
    this.#entries.forEachInOrder((entry, text) => {
      if (isPut(entry)) {
        puts.push(entry);
        if (this.removes(text)) kept.add({ start: text, end: toText(successor(entry.key)) });
      } else deletes.push(entry.key);
    });
    if (this.#dropped && puts.length === 0) return { collection, drop: true, removed: [], deletes: [], puts: [] };
    const removed: ByteRange[] = [];
    for (const range of this.#removed ?? []) for (const rest of kept.gaps(range)) removed.push(fromTextRange(rest));
    return { collection, drop: false, removed, deletes, puts };
  }
}

function isPut(entry: Entry): entry is StoredRecord {
  return entry.value !== undefined;
}
