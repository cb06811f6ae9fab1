/**
 * The bytes of a key. They order as keys do: number, date, string, binary,
 * array. Each key ends itself, so that none is the beginning of another and
 * two can stand one behind the other, as in an index.
 *
 * | type   | bytes |
 * |--------|-------|
 * | number | tag, IEEE 754 double, big-endian, all bits flipped if negative, else the sign bit |
 * | date   | tag, its time value as a number |
 * | string | tag, each UTF-16 code unit in the one to three bytes that UTF-8 has for that number, {@link END} |
 * | binary | tag, the bytes, {@link END} |
 * | array  | tag, the keys, {@link END} |
 *
 * In strings and binary the units 0 and 1 are written as {@link ESCAPE} and 1
 * or 2, so that {@link END} ends nothing else.
 */
export const TAG = { number: 0x10, date: 0x20, string: 0x30, binary: 0x40, array: 0x50 } as const;

export const END = 0x00;
export const ESCAPE = 0x01;

/** Behind a key: greater than the key and all that begins with it, less than any other that is greater. */
export const AFTER = 0xff;
