import { compareBytes, type KeyRange } from "@holdfast/key-store-core";
import type { Arrival, CursorState } from "../handles/cursor-state.ts";
import { fromKey } from "../keys/decode.ts";
import { joinKeys, withByte } from "../keys/encode.ts";
import { AFTER } from "../keys/format.ts";
import type { Operation } from "../transaction/operation.ts";
import type { ReadPlan } from "../transaction/read-plan.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { decodeValue } from "../values/decode.ts";
import { type Entry, rangeAfter } from "./entries.ts";

/** Where a cursor is to go: so many records on, or to the first at or behind a key. */
export type Step =
  | { readonly count: number }
  | { readonly key: Uint8Array; readonly primaryKey: Uint8Array | undefined };

/** Moves a cursor. https://www.w3.org/TR/IndexedDB-3/#iterate-a-cursor */
export class Iterate implements Operation {
  readonly writes = false;
  readonly scans = true;
  readonly #cursor: CursorState;
  readonly #step: Step;
  #arrival: Arrival | undefined;

  constructor(cursor: CursorState, step: Step) {
    this.#cursor = cursor;
    this.#step = step;
  }

  /** The first step of a cursor over an object store reads like any other request: together with its neighbours. */
  plan(plan: ReadPlan): boolean {
    const { position, source, range, ahead } = this.#cursor;
    if (position === undefined && source.index === null) ahead.plan(plan, range);
    return true;
  }

  run(transaction: TransactionState): unknown {
    this.#cursor.ahead.accept(transaction);
    const step = this.#step;
    return this.#move(transaction, this.#cursor.position, "count" in step ? step.count : 1);
  }

  told(): void {
    this.#cursor.moveTo(this.#arrival);
  }

  /** Takes what was read ahead, and waits only where that is not enough. */
  #move(transaction: TransactionState, from: Entry | undefined, count: number): unknown {
    const { ahead } = this.#cursor;
    let position = from;
    for (let left = count; left > 0; left -= 1) {
      const range = this.#rangeFrom(position);
      const next = ahead.take(range);
      if (next === undefined) {
        return ahead.isAtEnd ? this.#arrive(undefined) : this.#readOn(transaction, range, left);
      }
      position = next;
      // Of a unique index the range knows only the key: the one entry it has may lie before the primary key.
      if (this.#isShort(next)) left += 1;
    }
    return this.#arrive(position);
  }

  async #readOn(transaction: TransactionState, range: KeyRange, left: number): Promise<unknown> {
    const next = await this.#cursor.ahead.read(transaction, range);
    if (next === undefined) return this.#arrive(next);
    return this.#move(transaction, next, this.#isShort(next) ? left : left - 1);
  }

  #isShort(entry: Entry): boolean {
    const step = this.#step;
    if ("count" in step || step.primaryKey === undefined || !this.#cursor.source.index?.unique) return false;
    if (compareBytes(entry.key, step.key) !== 0) return false;
    const order = compareBytes(entry.primaryKey, step.primaryKey);
    return this.#cursor.direction === "next" ? order < 0 : order > 0;
  }

  #arrive(entry: Entry | undefined): unknown {
    if (entry === undefined) return null;
    // Now, and not as it is told: a key that is malformed is the request's error.
    const key = fromKey(entry.key);
    const primaryKey = entry.key === entry.primaryKey ? key : fromKey(entry.primaryKey);
    const value = this.#cursor.keysOnly ? undefined : decodeValue(entry.value);
    this.#arrival = { entry, key, primaryKey, value };
    return this.#cursor.target;
  }

  #rangeFrom(position: Entry | undefined): KeyRange {
    const { range, direction, source } = this.#cursor;
    const step = this.#step;
    const isIndex = source.index !== null;
    const started = position !== undefined && position !== this.#cursor.position;
    if ("count" in step || started)
      return position === undefined ? range : rangeAfter(range, position, direction, isIndex);
    const { key, primaryKey } = step;
    const { gt, gte, lt, lte } = range;
    const lower = gt === undefined ? { gte } : { gt };
    const upper = lt === undefined ? { lte } : { lt };
    const target = primaryKey === undefined || source.index?.unique ? key : joinKeys(key, primaryKey);
    if (direction === "next" || direction === "nextunique") return { gte: target, ...upper };
    if (isIndex && primaryKey === undefined) return { ...lower, lt: withByte(key, AFTER) };
    return { ...lower, lte: target };
  }
}
