import type { StoredRecord } from "@holdfast/key-store-core";
import { type Bounds, singleKey } from "../keys/bounds.ts";
import { fromKey } from "../keys/decode.ts";
import { splitEntry } from "../storage/index-entries.ts";
import type { Operation } from "../transaction/operation.ts";
import type { PageSlot, ReadPlan, ValueSlot } from "../transaction/read-plan.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { decodeValue } from "../values/decode.ts";
import { type RecordSource, rangeOf, referred } from "./entries.ts";

/** The first record of a range: its value, or its primary key. */
export class Retrieve implements Operation {
  readonly writes = false;
  readonly scans: boolean;
  readonly #source: RecordSource;
  readonly #bounds: Bounds;
  readonly #wants: "value" | "key";
  #value: ValueSlot | undefined;
  #page: PageSlot | undefined;

  constructor(source: RecordSource, bounds: Bounds, wants: "value" | "key") {
    this.#source = source;
    this.#bounds = bounds;
    this.#wants = wants;
    this.scans = source.index !== null || singleKey(bounds) === undefined;
  }

  plan(plan: ReadPlan): boolean {
    const { store, index } = this.#source;
    const key = index === null ? singleKey(this.#bounds) : undefined;
    if (key !== undefined) this.#value = plan.lookup(store.collection, key);
    else {
      const keysOnly = index === null ? this.#wants === "key" : !index.unique;
      const { collection } = index ?? store;
      this.#page = plan.scan(collection, rangeOf(this.#source, this.#bounds), { limit: 1, keysOnly });
    }
    return true;
  }

  run(transaction: TransactionState): unknown {
    if (this.#value !== undefined) {
      const key = this.#bounds.lower as Uint8Array; // a single key
      const value = transaction.current(this.#source.store.collection, key, this.#value.value);
      if (value === undefined) return undefined;
      return this.#wants === "value" ? decodeValue(value) : fromKey(key);
    }
    const [record] = this.#page?.records ?? [];
    return record === undefined ? undefined : this.#found(transaction, record);
  }

  #found(transaction: TransactionState, record: StoredRecord): unknown {
    const { store, index } = this.#source;
    if (index === null) return this.#wants === "key" ? fromKey(record.key) : decodeValue(record.value);
    const { primaryKey } = splitEntry(index, record);
    if (this.#wants === "key") return fromKey(primaryKey);
    return transaction.records.getMany(store.collection, [primaryKey]).then(([value]) => decodeValue(referred(value)));
  }
}
