import { createRecord } from "../idl/idb-record.ts";
import type { Bounds } from "../keys/bounds.ts";
import { fromKey } from "../keys/decode.ts";
import type { Operation } from "../transaction/operation.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { decodeValue } from "../values/decode.ts";
import { type CursorDirection, type Entry, type RecordSource, rangeAfter, rangeOf, readEntries } from "./entries.ts";

/** As many as there are. */
const ALL = 2 ** 31 - 1;

/** All records of a range, up to a count: their values, their primary keys, or both with the index keys. */
export class RetrieveAll implements Operation {
  readonly writes = false;
  readonly scans = true;
  readonly #source: RecordSource;
  readonly #bounds: Bounds;
  readonly #direction: CursorDirection;
  readonly #count: number;
  readonly #wants: "values" | "keys" | "records";

  /** `count` of 0 is no limit. */
  constructor(
    source: RecordSource,
    bounds: Bounds,
    direction: CursorDirection,
    count: number,
    wants: "values" | "keys" | "records",
  ) {
    this.#source = source;
    this.#bounds = bounds;
    this.#direction = direction;
    this.#count = count === 0 ? ALL : count;
    this.#wants = wants;
  }

  async run({ records }: TransactionState): Promise<unknown[]> {
    const source = this.#source;
    const results: unknown[] = [];
    let range = rangeOf(source, this.#bounds);
    for (;;) {
      const limit = Math.min(this.#count - results.length, ALL);
      const page = await readEntries(records, source, range, this.#direction, limit, this.#wants !== "keys");
      for (const entry of page.entries) results.push(this.#result(entry));
      const last = page.entries.at(-1);
      if (!page.more || last === undefined || results.length >= this.#count) return results;
      range = rangeAfter(range, last, this.#direction, source.index !== null);
    }
  }

  #result({ key, primaryKey, value }: Entry): unknown {
    if (this.#wants === "keys") return fromKey(primaryKey);
    if (this.#wants === "values") return decodeValue(value);
    return createRecord(fromKey(key), fromKey(primaryKey), decodeValue(value));
  }
}
