import { EMPTY, fromText, successor, toText } from "./bytes.ts";
import type { ByteRange } from "./driver.ts";
import type { KeyRange } from "./records.ts";
import { sortedMap } from "./sorted-map.ts";

/** Every key there can be. */
export const EVERYTHING: ByteRange = Object.freeze({ start: EMPTY, end: undefined });

/**
 * A range as the half-open interval that drivers take. Bounds that exclude
 * their key on the left, or include it on the right, move to its successor.
 */
export function toByteRange(range: KeyRange): ByteRange {
  const start = range.gte ?? (range.gt === undefined ? EMPTY : successor(range.gt));
  const end = range.lt ?? (range.lte === undefined ? undefined : successor(range.lte));
  return { start, end };
}

/** The half-open interval as a {@link KeyRange}. */
export function toKeyRange(range: ByteRange): KeyRange {
  return range.end === undefined ? { gte: range.start } : { gte: range.start, lt: range.end };
}

/** An interval of keys in the form of {@link toText}; no `end` is no bound. */
export interface TextRange {
  readonly start: string;
  readonly end: string | undefined;
}

export function toTextRange(range: ByteRange): TextRange {
  return { start: toText(range.start), end: range.end === undefined ? undefined : toText(range.end) };
}

export function fromTextRange(range: TextRange): ByteRange {
  return { start: fromText(range.start), end: range.end === undefined ? undefined : fromText(range.end) };
}

export function isEmptyRange(range: TextRange): boolean {
  return range.end !== undefined && range.end <= range.start;
}

/** A set of keys, held as disjoint intervals that do not touch. */
export class RangeSet {
  readonly #ends = sortedMap<string | undefined>();

  get isEmpty(): boolean {
    return this.#ends.size === 0;
  }

  has(key: string): boolean {
    const at = this.#ends.getPairOrNextLower(key);
    return at !== undefined && (at[1] === undefined || key < at[1]);
  }

  add(range: TextRange): void {
    if (isEmptyRange(range)) return;
    let { start, end } = range;
    const before = this.#ends.getPairOrNextLower(start);
    if (before !== undefined && (before[1] === undefined || before[1] >= start)) {
      start = before[0];
      end = later(end, before[1]);
    }
    for (
      let next = this.#ends.getPairOrNextHigher(start);
      next !== undefined;
      next = this.#ends.nextHigherPair(start)
    ) {
      if (end !== undefined && next[0] > end) break;
      end = later(end, next[1]);
      this.#ends.delete(next[0]);
    }
    this.#ends.set(start, end);
  }

  /** The intervals, in order. */
  *[Symbol.iterator](): IterableIterator<TextRange> {
    for (const [start, end] of this.#ends.entries()) yield { start, end };
  }

  /** What is left of `range` without this set, in order. */
  *gaps(range: TextRange): IterableIterator<TextRange> {
    if (isEmptyRange(range)) return;
    let from: string | undefined = range.start;
    const before = this.#ends.getPairOrNextLower(from);
    if (before !== undefined && (before[1] === undefined || before[1] > from)) from = before[1];
    while (from !== undefined && (range.end === undefined || from < range.end)) {
      const next = this.#ends.getPairOrNextHigher(from);
      if (next === undefined || (range.end !== undefined && next[0] >= range.end)) {
        yield { start: from, end: range.end };
        return;
      }
      if (from < next[0]) yield { start: from, end: next[0] };
      from = next[1];
    }
  }
}

function later(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return undefined;
  return a > b ? a : b;
}
