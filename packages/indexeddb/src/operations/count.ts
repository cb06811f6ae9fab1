import { type Bounds, singleKey } from "../keys/bounds.ts";
import type { Operation } from "../transaction/operation.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { type RecordSource, rangeOf } from "./entries.ts";

/** How many records a range has. */
export class Count implements Operation {
  readonly writes = false;
  readonly #source: RecordSource;
  readonly #bounds: Bounds;

  constructor(source: RecordSource, bounds: Bounds) {
    this.#source = source;
    this.#bounds = bounds;
  }

  async run({ records }: TransactionState): Promise<number> {
    const { store, index } = this.#source;
    const key = index === null ? singleKey(this.#bounds) : undefined;
    if (key !== undefined) {
      const [value] = await records.getMany(store.collection, [key]);
      return value === undefined ? 0 : 1;
    }
    return records.count((index ?? store).collection, rangeOf(this.#source, this.#bounds));
  }
}
