import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareBytes } from "../src/bytes.ts";
import { Overlay } from "../src/overlay.ts";
import { toByteRange } from "../src/ranges.ts";
import type { Change } from "../src/records.ts";
import { aKey, aPage, aProgram, aRange } from "./arbitraries.ts";
import { SortedRecords } from "./sorted-records.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const put = (key: Uint8Array, value: number): Change => ({ type: "put", collection: "a", key, value: bytes(value) });

/** A store with `before` in it, an overlay over it with `after`, and what both together should read as. */
function scene(before: readonly Change[], after: readonly Change[]) {
  const base = new SortedRecords();
  const expected = new SortedRecords();
  for (const change of before) {
    base.apply(change);
    expected.apply(change);
  }
  const overlay = new Overlay(base);
  for (const change of after) {
    overlay.apply(change);
    expected.apply(change);
  }
  return { base, overlay, expected };
}

describe("an overlay", () => {
  it("reads, lists and counts as if its changes were in the store", async () => {
    await fc.assert(
      fc.asyncProperty(aProgram, aProgram, aRange, aPage, fc.array(aKey), async (before, after, range, page, keys) => {
        const { overlay, expected } = scene(before, after);
        expect(await overlay.getMany("a", keys)).toEqual(await expected.getMany("a", keys));
        expect(await overlay.list("a", range, page)).toEqual(await expected.list("a", range, page));
        expect(await overlay.count("a", range)).toBe(await expected.count("a", range));
      }),
      { numRuns: 1_000 },
    );
  });

  it("hands its changes on in a form that has the same effect", async () => {
    await fc.assert(
      fc.asyncProperty(aProgram, aProgram, async (before, after) => {
        const { base, overlay, expected } = scene(before, after);
        for (const change of overlay) base.apply(change);
        for (const collection of ["a", "b"]) {
          expect(await base.list(collection, {}, { limit: 100 })).toEqual(
            await expected.list(collection, {}, { limit: 100 }),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it("touches no key twice, so that a driver may apply its lists in any order", () => {
    fc.assert(
      fc.property(aProgram, (changes) => {
        for (const { drop, removed, deletes, puts } of scene([], changes).overlay.reduced()) {
          const keys = [...deletes, ...puts.map(({ key }) => key)];
          expect(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size).toBe(keys.length);
          for (const { start, end } of removed) {
            expect(keys.some((key) => compareBytes(key, start) >= 0 && (!end || compareBytes(key, end) < 0))).toBe(
              false,
            );
          }
          if (drop) expect([removed.length, keys.length]).toEqual([0, 0]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("keeps a put that follows a range around it, and cuts the range in two", () => {
    const { overlay } = scene(
      [],
      [{ type: "deleteRange", collection: "a", range: { gte: bytes(1), lte: bytes(9) } }, put(bytes(5), 50)],
    );
    expect(overlay.reduced()).toEqual([
      {
        collection: "a",
        drop: false,
        removed: [
          { start: Buffer.from([1]), end: Buffer.from([5]) },
          { start: Buffer.from([5, 0]), end: Buffer.from([9, 0]) },
        ],
        deletes: [],
        puts: [{ key: bytes(5), value: bytes(50) }],
      },
    ]);
  });

  it("does not read the store for a page that its own records fill", async () => {
    const { overlay, base } = scene(
      [put(bytes(9), 9)],
      [{ type: "dropCollection", collection: "a" }, put(bytes(1), 1)],
    );
    expect(await overlay.list("a", {}, { limit: 1 })).toEqual([{ key: bytes(1), value: bytes(1) }]);
    expect(base.reads).toBe(0);
  });
});

describe("a key range", () => {
  it("is the half-open interval with the same keys", () => {
    expect(toByteRange({ gt: bytes(1), lte: bytes(2) })).toEqual({ start: bytes(1, 0), end: bytes(2, 0) });
    expect(toByteRange({ gte: bytes(1), lt: bytes(2) })).toEqual({ start: bytes(1), end: bytes(2) });
    expect(toByteRange({})).toEqual({ start: bytes(), end: undefined });
  });
});
