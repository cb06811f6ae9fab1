/**
 * Conversions of JavaScript values to the types of Web IDL, with its errors.
 * https://webidl.spec.whatwg.org/#js-type-mapping
 */

/** Throws the error of a call with too few arguments. */
export function requireArguments(given: number, required: number, what: string): void {
  if (given < required) {
    const noun = required === 1 ? "argument" : "arguments";
    throw new TypeError(`${what} requires at least ${required} ${noun}, but only ${given} passed`);
  }
}

/** `DOMString`. */
export function toDOMString(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "symbol") throw new TypeError("a Symbol cannot be converted to a string");
  return String(value);
}

/** `[EnforceRange]` integers from 0 to `max`. */
export function toUnsigned(value: unknown, max: number, what: string): number {
  // The unary plus is the conversion: it refuses what Number() takes, a BigInt.
  const number = +(value as number);
  if (!Number.isFinite(number)) throw new TypeError(`${what} must be a finite number`);
  const integer = Math.trunc(number);
  if (integer < 0 || integer > max) throw new TypeError(`${what} must be between 0 and ${max}, not ${integer}`);
  return integer === 0 ? 0 : integer;
}

export const MAX_UNSIGNED_LONG = 2 ** 32 - 1;
export const MAX_UNSIGNED_LONG_LONG = Number.MAX_SAFE_INTEGER;

/** An enumeration. */
export function toEnum<T extends string>(value: unknown, values: readonly T[], what: string): T {
  const text = toDOMString(value) as T;
  if (!values.includes(text)) throw new TypeError(`"${text}" is not a valid ${what}`);
  return text;
}

/** A dictionary: null and undefined are empty ones. */
export function toDictionary(value: unknown, what: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") throw new TypeError(`${what} must be an object`);
  return value as Record<string, unknown>;
}

const arrayIterator: unknown = Array.prototype[Symbol.iterator];

/** `(DOMString or sequence<DOMString>)`. */
export function toStringOrSequence(value: unknown): string | string[] {
  if ((typeof value === "object" && value !== null) || typeof value === "function") {
    const method: unknown = (value as { [Symbol.iterator]?: unknown })[Symbol.iterator];
    if (method !== undefined && method !== null) {
      if (method === arrayIterator && Array.isArray(value)) return Array.from(value, toDOMString);
      if (typeof method !== "function") throw new TypeError("the value's iterator is not a function");
      const strings: string[] = [];
      const iterable = { [Symbol.iterator]: () => method.call(value) as Iterator<unknown> };
      for (const each of iterable) strings.push(toDOMString(each));
      return strings;
    }
  }
  return toDOMString(value);
}
