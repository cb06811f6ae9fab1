import { createRecord } from "../idl/idb-record.ts";
import type { Bounds } from "../keys/bounds.ts";
import { fromKey } from "../keys/decode.ts";
import type { Operation } from "../transaction/operation.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { decodeValue } from "../values/decode.ts";
import { type CursorDirection, type Entry, type RecordSource, rangeAfter, rangeOf, readEntries } from "./entries.ts";

/** How many records are read at a time: each page has the time limit of one operation. */
const PAGE = { keys: 10_000, values: 1_000 } as const;

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
    this.#count = count === 0 ? Number.POSITIVE_INFINITY : count;
    this.#wants = wants;
  }

  async run({ records }: TransactionState): Promise<unknown[]> {
    const source = this.#source;
    const results: unknown[] = [];
    const most = this.#wants === "keys" ? PAGE.keys : PAGE.values;
    let range = rangeOf(source, this.#bounds);
    for (;;) {
      const limit = Math.min(this.#count - results.length, most);
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
