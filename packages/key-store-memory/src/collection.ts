import {
  type ByteRange,
  type CollectionChanges,
  EMPTY,
  type Page,
  type StoredRecord,
  TextMap,
  toText,
} from "@holdfast/key-store-core";
import { Copies } from "./copies.ts";

interface Entry {
  readonly key: Uint8Array;
  value: Uint8Array;
}

/** One collection of one device: records in bytewise order, and their bytes, counted as they change. */
export class MemoryCollection {
  readonly #entries = new TextMap<Entry>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Of keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#entries.get(toText(key))?.value;
  }

  list({ start, end }: ByteRange, { limit, reverse, keysOnly }: Page): StoredRecord[] {
    const records: StoredRecord[] = [];
    for (const [, { key, value }] of this.#entries.within(toText(start), end && toText(end), reverse)) {
      records.push({ key, value: keysOnly ? EMPTY : value });
      if (records.length === limit) break;
    }
    return records;
  }

  count({ start, end }: ByteRange): number {
    if (start.byteLength === 0 && end === undefined) return this.size;
    return this.#textsIn({ start, end }).length;
  }

  /** Applies everything but `drop`. Nothing in it fails half way. */
  apply({ removed, deletes, puts }: CollectionChanges): void {
    for (const range of removed) for (const text of this.#textsIn(range)) this.#delete(text);
    for (const key of deletes) this.#delete(toText(key));
    const copies = new Copies(puts);
    for (const { key, value } of puts) this.#put(key, value, copies);
  }

  #put(key: Uint8Array, given: Uint8Array, copies: Copies): void {
    const text = toText(key);
    const entry = this.#entries.get(text);
    const value = copies.owned(given);
    if (entry === undefined) {
      this.#entries.set(text, { key: copies.owned(key), value });
      this.#bytes += key.byteLength + value.byteLength;
    } else {
      this.#bytes += value.byteLength - entry.value.byteLength;
      entry.value = value;
    }
  }

  #delete(text: string): void {
    const entry = this.#entries.get(text);
    if (entry === undefined) return;
    this.#bytes -= entry.key.byteLength + entry.value.byteLength;
    this.#entries.delete(text);
  }

  #textsIn({ start, end }: ByteRange): string[] {
    return Array.from(this.#entries.within(toText(start), end && toText(end)), ([text]) => text);
  }
}
