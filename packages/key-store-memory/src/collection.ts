import {
  type ByteRange,
  type CollectionChanges,
  EMPTY,
  type Page,
  type StoredRecord,
  sortedMap,
  toText,
} from "@holdfast/key-store-core";

interface Entry {
  readonly key: Uint8Array;
  value: Uint8Array;
}

/** One collection of one device: records in bytewise order, and their bytes, counted as they change. */
export class MemoryCollection {
  readonly #entries = sortedMap<Entry>();
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
    const [first, last] = [toText(start), end && toText(end)];
    const records: StoredRecord[] = [];
    // entriesReversed() starts at its bound, which a half-open range leaves out.
    const entries = reverse
      ? this.#entries.entriesReversed(last, undefined, last !== undefined)
      : this.#entries.entries(first);
    for (const [text, { key, value }] of entries) {
      if (reverse ? text < first : last !== undefined && text >= last) break;
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
    for (const { key, value } of puts) this.#put(key, owned(value));
  }

  #put(key: Uint8Array, value: Uint8Array): void {
    const text = toText(key);
    const entry = this.#entries.get(text);
    if (entry === undefined) {
      this.#entries.set(text, { key: owned(key), value });
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
    const last = end && toText(end);
    const texts: string[] = [];
    for (const text of this.#entries.keys(toText(start))) {
      if (last !== undefined && text >= last) break;
      texts.push(text);
    }
    return texts;
  }
}

/** The bytes themselves, or a copy where they are a small part of a buffer that would be kept from being freed. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > 2 * bytes.byteLength + 256 ? new Uint8Array(bytes) : bytes;
}
