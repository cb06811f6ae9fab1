import { compareBytes } from "@holdfast/key-store-core";
import { storeRange, UNBOUNDED } from "../keys/bounds.ts";
import { extractIndexKeys } from "../keys/key-path.ts";
import { entryPlace, entryValue } from "../storage/index-entries.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";
import type { Operation } from "../transaction/operation.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { decodeValue } from "../values/decode.ts";
import { type RecordSource, rangeAfter, readEntries } from "./entries.ts";
import { notUnique } from "./store-record.ts";

const PAGE = 100;

/** Enters the records that an object store has into an index that is new. What it throws aborts the transaction. */
export class PopulateIndex implements Operation {
  readonly writes = true;
  readonly scans = true;
  readonly #store: StoreSchema;
  readonly #index: IndexSchema;

  constructor(store: StoreSchema, index: IndexSchema) {
    this.#store = store;
    this.#index = index;
  }

  async run(transaction: TransactionState): Promise<void> {
    const source: RecordSource = { store: this.#store, index: null };
    let range = storeRange(UNBOUNDED);
    for (;;) {
      const { entries, more } = await readEntries(transaction.records, source, range, "next", PAGE, true);
      for (const { key, value } of entries) {
        if (transaction.isFinished) return;
        await this.#enter(transaction, key, value);
      }
      const last = entries.at(-1);
      if (last === undefined || !more) return;
      range = rangeAfter(range, last, "next", false);
    }
  }

  async #enter(transaction: TransactionState, primaryKey: Uint8Array, stored: Uint8Array): Promise<void> {
    const { collection, keyPath, multiEntry, unique } = this.#index;
    for (const key of extractIndexKeys(decodeValue(stored), keyPath, multiEntry)) {
      if (unique) {
        const [taken] = await transaction.records.getMany(collection, [key]);
        if (taken !== undefined && compareBytes(taken, primaryKey) !== 0) throw notUnique(this.#index);
      }
      const index = this.#index;
      transaction.changes.put(collection, entryPlace(index, key, primaryKey), entryValue(index, primaryKey));
    }
  }
}
