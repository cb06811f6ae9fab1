import { compareBytes, MAX_KEY_BYTES } from "@holdfast/key-store-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromKey, type Key, keyLength } from "../src/keys/decode.ts";
import { joinKeys, toKey } from "../src/keys/encode.ts";
import { key } from "./support/arbitraries.ts";

const RANK = { number: 0, date: 1, string: 2, binary: 3, array: 4 } as const;

function rankOf(value: Key): number {
  if (typeof value === "number") return RANK.number;
  if (value instanceof Date) return RANK.date;
  if (typeof value === "string") return RANK.string;
  return Array.isArray(value) ? RANK.array : RANK.binary;
}

/** The order of the specification, written without regard to bytes. */
function compare(a: Key, b: Key): number {
  const ranks = rankOf(a) - rankOf(b);
  if (ranks !== 0) return Math.sign(ranks);
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
      const order = compare(a[at] as Key, b[at] as Key); // within both lengths
      if (order !== 0) return order;
    }
    return Math.sign(a.length - b.length);
  }
  if (a instanceof ArrayBuffer && b instanceof ArrayBuffer) {
    return compare([...new Uint8Array(a)], [...new Uint8Array(b)]);
  }
  // Strings compare by code units, numbers and dates by value.
  return a < b ? -1 : a > b ? 1 : 0;
}

function encoded(value: Key): Uint8Array {
  const bytes = toKey(value);
  if (bytes === undefined) throw new Error("not a key");
  return bytes;
}

describe("the bytes of keys", () => {
  it("order as the keys do", () => {
    fc.assert(
      fc.property(key(), key(), (a, b) => {
        expect(Math.sign(compareBytes(encoded(a), encoded(b)))).toBe(compare(a, b));
      }),
      { numRuns: 2000 },
    );
  });

  it("give back an equal key", () => {
    fc.assert(
      fc.property(key(), (value) => {
        expect(fromKey(encoded(value))).toStrictEqual(value);
      }),
      { numRuns: 2000 },
    );
  });

  it("end where the key ends, whatever stands behind", () => {
    fc.assert(
      fc.property(key(), key(), (first, second) => {
        const joined = joinKeys(encoded(first), encoded(second));
        const length = keyLength(joined);
        expect(fromKey(joined.subarray(0, length))).toStrictEqual(first);
        expect(fromKey(joined.subarray(length))).toStrictEqual(second);
      }),
      { numRuns: 1000 },
    );
  });

  it("are never taken from garbage: what is decoded encodes to the same bytes", () => {
    const nearlyKeys = fc
      .tuple(key(), fc.nat(), fc.nat({ max: 255 }))
      .map(([value, at, byte]) => encoded(value).with(at % encoded(value).length, byte));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 24 }), nearlyKeys), (bytes) => {
        let value: Key;
        try {
          value = fromKey(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: "MalformedKeyError" });
          return;
        }
        expect(Buffer.from(encoded(value))).toStrictEqual(Buffer.from(bytes));
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ["-0 as 0", -0, 0],
    [
      "the bytes of a view without what lies around them",
      new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
      new Uint8Array([2, 3]).buffer,
    ],
    ["nested arrays", [[], [1, ["a"]]], [[], [1, ["a"]]]],
    ["lone surrogates and NUL", "\ud800\0\u0001x", "\ud800\0\u0001x"],
    [
      "the infinities",
      [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
      [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    ],
  ])("hold %s", (_, value, expected) => {
    expect(fromKey(toKey(value) as Uint8Array)).toStrictEqual(expected);
  });

  const recursive: unknown[] = [];
  recursive.push(recursive);
  const sparse = [1, 2];
  Reflect.deleteProperty(sparse, 0);

  it.each([
    ["NaN", Number.NaN],
    ["an invalid date", new Date(Number.NaN)],
    ["true", true],
    ["null", null],
    ["undefined", undefined],
    ["an object", {}],
    ["a BigInt", 1n],
    ["an array that holds itself", recursive],
    ["an array with a hole", sparse],
    ["an array with an object in it", [1, {}]],
    ["a detached buffer", detached()],
  ])("are not made for %s", (_, value) => {
    expect(toKey(value)).toBeUndefined();
  });

  it("have no greatest length", () => {
    const long = "a".repeat(MAX_KEY_BYTES * 4);
    expect(fromKey(encoded(long))).toBe(long);
  });
});

function detached(): ArrayBuffer {
  const buffer = new ArrayBuffer(8);
  buffer.transfer();
  return buffer;
}
