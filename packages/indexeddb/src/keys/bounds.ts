import { compareBytes, type KeyRange as StoreRange } from "@holdfast/key-store-core";
import { withByte } from "./encode.ts";
import { AFTER } from "./format.ts";

/** A key range by the bytes of its bounds; a bound that is missing is none. */
export interface Bounds {
  readonly lower: Uint8Array | undefined;
  readonly upper: Uint8Array | undefined;
  readonly lowerOpen: boolean;
  readonly upperOpen: boolean;
}

/** Every key. */
export const UNBOUNDED: Bounds = Object.freeze({
  lower: undefined,
  upper: undefined,
  lowerOpen: false,
  upperOpen: false,
});

export function onlyKey(key: Uint8Array): Bounds {
  return { lower: key, upper: key, lowerOpen: false, upperOpen: false };
}

/** The one key that a range holds, if it is written so; `undefined` for other ranges. */
export function singleKey(bounds: Bounds): Uint8Array | undefined {
  const { lower, upper, lowerOpen, upperOpen } = bounds;
  if (lower === undefined || upper === undefined || lowerOpen || upperOpen) return undefined;
  return lower === upper || compareBytes(lower, upper) === 0 ? lower : undefined;
}

export function contains(bounds: Bounds, key: Uint8Array): boolean {
  const { lower, upper, lowerOpen, upperOpen } = bounds;
  if (lower !== undefined) {
    const order = compareBytes(key, lower);
    if (order < 0 || (order === 0 && lowerOpen)) return false;
  }
  if (upper === undefined) return true;
  const order = compareBytes(key, upper);
  return order < 0 || (order === 0 && !upperOpen);
}

/** The records of an object store whose keys lie within the bounds. */
export function storeRange(bounds: Bounds): StoreRange {
  const { lower, upper, lowerOpen, upperOpen } = bounds;
  return {
    ...(lower === undefined ? {} : lowerOpen ? { gt: lower } : { gte: lower }),
    ...(upper === undefined ? {} : upperOpen ? { lt: upper } : { lte: upper }),
  };
}

/** The entries of an index whose index keys lie within the bounds, whatever their primary keys. */
export function indexRange(bounds: Bounds): StoreRange {
  const { lower, upper, lowerOpen, upperOpen } = bounds;
  return {
    ...(lower === undefined ? {} : { gte: lowerOpen ? withByte(lower, AFTER) : lower }),
    ...(upper === undefined ? {} : { lt: upperOpen ? upper : withByte(upper, AFTER) }),
  };
}
