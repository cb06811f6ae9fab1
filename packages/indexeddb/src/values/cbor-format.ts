/*
 * The part of CBOR that plain data needs: integers of 32 bits, doubles, text,
 * bytes, arrays and maps of a known length, false, true, null and undefined.
 * https://www.rfc-editor.org/rfc/rfc8949.html
 */

/** The upper three bits of an item's first byte. */
export const MAJOR = { unsigned: 0x00, negative: 0x20, bytes: 0x40, text: 0x60, array: 0x80, map: 0xa0 } as const;

/** The lower five bits: the argument itself if it is less, else how many bytes of it follow. */
export const ARGUMENT = { one: 24, two: 25, four: 26 } as const;

/** Items that are one byte. */
export const SIMPLE = { false: 0xf4, true: 0xf5, null: 0xf6, undefined: 0xf7 } as const;

/** Before the eight bytes of a double. */
export const DOUBLE = 0xfb;
