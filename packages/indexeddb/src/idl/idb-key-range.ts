import { compareBytes } from "@holdfast/key-store-core";
import { exception } from "../errors.ts";
import { type Bounds, contains, onlyKey } from "../keys/bounds.ts";
import { fromKey } from "../keys/decode.ts";
import { toKey } from "../keys/encode.ts";
import { requireArguments } from "./convert.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

let boundsInside: (range: IDBKeyRange) => Bounds;

/** https://www.w3.org/TR/IndexedDB-3/#keyrange */
export class IDBKeyRange {
  readonly #bounds: Bounds;
  #lower: unknown;
  #upper: unknown;

  static {
    boundsInside = (range) => range.#bounds;
  }

  /** @internal Ranges come from the static methods. */
  constructor(key: unknown = undefined, bounds?: Bounds) {
    if (key !== internal || bounds === undefined) throw illegalConstructor();
    this.#bounds = bounds;
  }

  get lower(): unknown {
    const { lower } = this.#bounds;
    if (lower !== undefined) this.#lower ??= fromKey(lower);
    return this.#lower;
  }

  get upper(): unknown {
    const { upper } = this.#bounds;
    if (upper !== undefined) this.#upper ??= fromKey(upper);
    return this.#upper;
  }

  get lowerOpen(): boolean {
    return this.#bounds.lowerOpen;
  }

  get upperOpen(): boolean {
    return this.#bounds.upperOpen;
  }

  /** Whether a key lies in the range. Throws `DataError` for a value that is none. */
  includes(key: unknown): boolean {
    const bounds = this.#bounds;
    requireArguments(arguments.length, 1, "IDBKeyRange.includes");
    return contains(bounds, keyOf(key));
  }

  static only(value: unknown): IDBKeyRange {
    requireArguments(arguments.length, 1, "IDBKeyRange.only");
    return new IDBKeyRange(internal, onlyKey(keyOf(value)));
  }

  static lowerBound(lower: unknown, open: unknown = false): IDBKeyRange {
    requireArguments(arguments.length, 1, "IDBKeyRange.lowerBound");
    const lowerOpen = Boolean(open);
    return new IDBKeyRange(internal, { lower: keyOf(lower), upper: undefined, lowerOpen, upperOpen: true });
  }

  static upperBound(upper: unknown, open: unknown = false): IDBKeyRange {
    requireArguments(arguments.length, 1, "IDBKeyRange.upperBound");
    const upperOpen = Boolean(open);
    return new IDBKeyRange(internal, { lower: undefined, upper: keyOf(upper), lowerOpen: true, upperOpen });
  }

  static bound(lower: unknown, upper: unknown, lowerOpen: unknown = false, upperOpen: unknown = false): IDBKeyRange {
    requireArguments(arguments.length, 2, "IDBKeyRange.bound");
    const lowerKey = keyOf(lower);
    const upperKey = keyOf(upper);
    const bounds = { lower: lowerKey, upper: upperKey, lowerOpen: Boolean(lowerOpen), upperOpen: Boolean(upperOpen) };
    const order = compareBytes(lowerKey, upperKey);
    if (order > 0) throw exception("DataError", "the lower bound is greater than the upper one");
    if (order === 0 && (bounds.lowerOpen || bounds.upperOpen)) {
      throw exception("DataError", "a range from a key to the same key has to include it");
    }
    return new IDBKeyRange(internal, bounds);
  }
}

defineInterface(IDBKeyRange);

/** The bounds of a range. */
export function boundsOf(range: IDBKeyRange): Bounds {
  return boundsInside(range);
}

function keyOf(value: unknown): Uint8Array {
  const key = toKey(value);
  if (key === undefined) throw exception("DataError", "the value is not a valid key");
  return key;
}
