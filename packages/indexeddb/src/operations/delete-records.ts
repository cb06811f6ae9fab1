import type { Change } from "@holdfast/key-store-core";
import { type Bounds, singleKey, storeRange } from "../keys/bounds.ts";
import { hasLongBound } from "../storage/long-keys.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";
import type { Operation } from "../transaction/operation.ts";
import type { ReadPlan, ValueSlot } from "../transaction/read-plan.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { type RecordSource, rangeAfter, readEntries } from "./entries.ts";
import { removeIndexEntries } from "./index-entries.ts";

/** How many records are read at a time to take them out of the indexes. */
const PAGE = 100;

/** https://www.w3.org/TR/IndexedDB-3/#delete-records-from-an-object-store */
export class DeleteRecords implements Operation {
  readonly writes = true;
  readonly scans: boolean;
  readonly plan: ((plan: ReadPlan) => boolean) | undefined;

  readonly #store: StoreSchema;
  readonly #bounds: Bounds;
  readonly #indexes: readonly IndexSchema[];
  #old: ValueSlot | undefined;

  constructor(store: StoreSchema, bounds: Bounds) {
    this.#store = store;
    this.#bounds = bounds;
    this.#indexes = [...store.indexes.values()];
    const key = singleKey(bounds);
    this.scans = key === undefined && (this.#indexes.length > 0 || hasLongBound(storeRange(bounds)));
    if (key !== undefined && this.#indexes.length > 0) this.plan = (plan) => this.#plan(plan, key);
  }

  run(transaction: TransactionState): Promise<undefined> | undefined {
    const key = singleKey(this.#bounds);
    if (key === undefined) return this.#deleteRange(transaction);
    const old = transaction.current(this.#store.collection, key, this.#old?.value);
    if (old !== undefined) removeIndexEntries(transaction, this.#indexes, key, old);
    transaction.changes.remove(this.#store.collection, key);
    return undefined;
  }

  #plan(plan: ReadPlan, key: Uint8Array): boolean {
    this.#old = plan.lookup(this.#store.collection, key);
    return true;
  }

  async #deleteRange(transaction: TransactionState): Promise<undefined> {
    const range = storeRange(this.#bounds);
    if (this.#indexes.length > 0) {
      const source: RecordSource = { store: this.#store, index: null };
      let rest = range;
      for (;;) {
        const { entries, more } = await readEntries(transaction.records, source, rest, "next", PAGE, true);
        if (transaction.isFinished) return undefined;
        for (const { key, value } of entries) removeIndexEntries(transaction, this.#indexes, key, value);
        const last = entries.at(-1);
        if (last === undefined || !more) break;
        rest = rangeAfter(rest, last, "next", false);
      }
    }
    const changes = await transaction.records.deletions(this.#store.collection, range);
    for (const change of changes) transaction.changes.apply(change);
    return undefined;
  }
}

/** Changes that need no look at the records: to clear an object store, to drop one, to drop an index. */
export class ApplyChanges implements Operation {
  readonly writes = true;
  readonly scans = false;
  readonly #changes: readonly Change[];

  constructor(changes: readonly Change[]) {
    this.#changes = changes;
  }

  run(transaction: TransactionState): undefined {
    for (const change of this.#changes) transaction.changes.apply(change);
    return undefined;
  }
}
