import { type Bounds, singleKey } from "../keys/bounds.ts";
import type { Operation } from "../transaction/operation.ts";
import type { CountSlot, ReadPlan, ValueSlot } from "../transaction/read-plan.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { type RecordSource, rangeOf } from "./entries.ts";

/** How many records a range has. */
export class Count implements Operation {
  readonly writes = false;
  readonly scans: boolean;
  readonly #source: RecordSource;
  readonly #bounds: Bounds;
  #count: CountSlot | undefined;
  #value: ValueSlot | undefined;

  constructor(source: RecordSource, bounds: Bounds) {
    this.#source = source;
    this.#bounds = bounds;
    this.scans = source.index !== null || singleKey(bounds) === undefined;
  }

  plan(plan: ReadPlan): boolean {
    const { store, index } = this.#source;
    const key = index === null ? singleKey(this.#bounds) : undefined;
    if (key === undefined) {
      this.#count = plan.count((index ?? store).collection, rangeOf(this.#source, this.#bounds));
    } else this.#value = plan.lookup(store.collection, key);
    return true;
  }

  run(transaction: TransactionState): number {
    if (this.#count !== undefined) return this.#count.count;
    const key = this.#bounds.lower as Uint8Array; // a single key
    return transaction.current(this.#source.store.collection, key, this.#value?.value) === undefined ? 0 : 1;
  }
}
