import fc from "fast-check";
import type { Change, KeyRange, Page } from "../src/records.ts";

/** Few keys, so that changes meet: up to two bytes out of three, with the least and the greatest among them. */
export const aKey = fc.array(fc.constantFrom(0, 1, 255), { maxLength: 2 }).map((bytes) => Uint8Array.from(bytes));

const aValue = fc.integer({ min: 0, max: 255 }).map((byte) => Uint8Array.of(byte));

const aCollection = fc.constantFrom("a", "b");

export const aRange: fc.Arbitrary<KeyRange> = fc
  .tuple(fc.constantFrom("gt", "gte", "none"), aKey, fc.constantFrom("lt", "lte", "none"), aKey)
  .map(([lower, from, upper, to]) => ({
    ...(lower !== "none" && { [lower]: from }),
    ...(upper !== "none" && { [upper]: to }),
  }));

export const aPage: fc.Arbitrary<Page> = fc.record({
  limit: fc.integer({ min: 1, max: 6 }),
  reverse: fc.boolean(),
  keysOnly: fc.boolean(),
});

const aPut: fc.Arbitrary<Change> = fc.record({
  type: fc.constant("put" as const),
  collection: aCollection,
  key: aKey,
  value: aValue,
});

const aChange: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: aPut },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("delete" as const), collection: aCollection, key: aKey }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("deleteRange" as const), collection: aCollection, range: aRange }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("dropCollection" as const), collection: aCollection }) },
);

export const aProgram = fc.array(aChange, { maxLength: 12 });
