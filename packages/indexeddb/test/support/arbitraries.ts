import fc from "fast-check";
import type { Key } from "../../src/keys/decode.ts";

/** Strings of any code units, near one another often enough to test their order. */
function anyString(): fc.Arbitrary<string> {
  const unit = fc.oneof(
    fc.constantFrom(0, 1, 2, 0x61, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdc00, 0xffff),
    fc.nat({ max: 0xffff }),
  );
  return fc.array(unit, { maxLength: 8 }).map((units) => String.fromCharCode(...units));
}

/** Any valid key. `-0` is left out: it is the key 0. */
export function key(): fc.Arbitrary<Key> {
  const number = fc
    .oneof(fc.double({ noNaN: true }), fc.integer(), fc.constantFrom(0, 0.5, -1, 2 ** 53, 5e-324, Number.MAX_VALUE))
    .map((value) => (value === 0 ? 0 : value));
  const binary = fc.uint8Array({ maxLength: 6 }).map((bytes) => Uint8Array.from(bytes).buffer);
  const date = fc.date({ noInvalidDate: true }).map((value) => new Date(value.getTime() === 0 ? 0 : value));
  const scalar = fc.oneof(number, date, anyString(), binary);
  return fc.letrec<{ key: Key }>((tie) => ({
    key: fc.oneof({ depthSize: "small" }, { weight: 4, arbitrary: scalar }, fc.array(tie("key"), { maxLength: 3 })),
  })).key;
}

/** Plain data, such as the crypto engine writes. */
export function plainValue(): fc.Arbitrary<unknown> {
  const property = fc.oneof(
    fc.constantFrom("a", "b", "1", "id", "name"),
    fc.string({ unit: "grapheme", maxLength: 5 }),
  );
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constantFrom(null, undefined),
      fc.string({ unit: "grapheme" }),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(property, tie("value"), { maxKeys: 4, noNullPrototype: true }),
      fc.uint8Array({ maxLength: 10 }).map((bytes) => Uint8Array.from(bytes)),
    ),
  })).value;
}

/** Anything that can be cloned. */
export function cloneable(): fc.Arbitrary<unknown> {
  return fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      { weight: 4, arbitrary: plainValue() },
      anyString(),
      fc.bigInt(),
      fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY),
      fc.date(),
      fc.constantFrom(/a.b/giu, /[/]\n/),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Uint8Array.from(bytes).buffer),
      fc.float32Array({ maxLength: 4 }),
      fc.uint8Array({ minLength: 4, maxLength: 8 }).map((bytes) => Uint8Array.from(bytes).subarray(1, 3)),
      fc.constantFrom(Object(1), Object("text"), Object(false), Object(3n)),
      fc.string().map((message) => new RangeError(message)),
      fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 3 }).map((pairs) => new Map(pairs)),
      fc.array(tie("value"), { maxLength: 3 }).map((values) => new Set(values)),
      fc.sparseArray(tie("value"), { maxLength: 6, maxNumElements: 3 }),
      fc.dictionary(anyString(), tie("value"), { maxKeys: 3, noNullPrototype: true }),
      tie("value").map((shared) => ({ shared, again: [shared] })),
    ),
  })).value;
}
