import { type Change, Overlay, type RecordReader } from "@holdfast/key-store-core";
import { generatorChange } from "../storage/catalog.ts";
import { originalValue, requireStorable, storedKey, storedValue } from "../storage/long-keys.ts";
import type { StoreSchema } from "../storage/schema.ts";

/** Something that has read ahead, and must know what is written meanwhile. */
export interface WriteWatcher {
  /** `key` is undefined where a range was deleted. */
  written(collection: string, key: Uint8Array | undefined): void;
}

/**
 * What a transaction has changed and not committed: records, and what is not
 * records, which is there at once and taken back by an abort.
 */
export class Changes {
  /** The records as the transaction sees them. */
  readonly overlay: Overlay;
  // Most transactions need none of these.
  #undo: (() => void)[] | undefined;
  /** The stores whose key generators have moved. */
  #generators: Set<StoreSchema> | undefined;
  /** Those that have read ahead. */
  #watchers: Set<WriteWatcher> | undefined;

  constructor(base: RecordReader) {
    this.overlay = new Overlay(base);
  }

  /** A record's value as it is now, where `read` is what it was before this group of operations. */
  current(collection: string, key: Uint8Array, read: Uint8Array | undefined): Uint8Array | undefined {
    if (this.overlay.isEmpty) return read;
    const known = this.overlay.own(collection, storedKey(key));
    if (known === "unknown") return read;
    return known === undefined ? undefined : originalValue(key, known);
  }

  /** Throws `DataError`, having done nothing, where the record is larger than a key store takes. */
  put(collection: string, key: Uint8Array, value: Uint8Array): void {
    requireStorable(key, value);
    this.overlay.put(collection, storedKey(key), storedValue(key, value));
    this.#written(collection, key);
  }

  remove(collection: string, key: Uint8Array): void {
    this.overlay.delete(collection, storedKey(key));
    this.#written(collection, key);
  }

  /** Applies a change whose keys are stored ones. */
  apply(change: Change): void {
    this.overlay.apply(change);
    this.#written(change.collection, undefined);
  }

  /** Sets a key generator's next number: stored with the transaction, taken back with it. */
  moveGenerator(store: StoreSchema, next: number): void {
    this.#generators ??= new Set();
    if (!this.#generators.has(store)) {
      const before = store.nextKey;
      this.#generators.add(store);
      this.undoWith(() => {
        store.nextKey = before;
      });
    }
    store.nextKey = next;
  }

  /** Remembers how to take back a change that is not a record. */
  undoWith(undo: () => void): void {
    this.#undo ??= [];
    this.#undo.push(undo);
  }

  /** Tells of every write from now on. */
  watch(watcher: WriteWatcher): void {
    this.#watchers ??= new Set();
    this.#watchers.add(watcher);
  }

  /** Adds what is stored of the key generators of a database: there is nothing to come after it. */
  storeGenerators(databaseId: number): void {
    for (const store of this.#generators ?? []) {
      if (!store.deleted) this.overlay.apply(generatorChange(databaseId, store));
    }
  }

  /** Takes back what is not records. */
  takeBack(): void {
    for (const undo of this.#undo?.reverse() ?? []) undo();
    this.#undo = undefined;
  }

  /** Lets go of all that was to be told or taken back. */
  release(): void {
    this.#undo = undefined;
    this.#watchers = undefined;
  }

  #written(collection: string, key: Uint8Array | undefined): void {
    if (this.#watchers === undefined) return;
    for (const watcher of this.#watchers) watcher.written(collection, key);
  }
}
