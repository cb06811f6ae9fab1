/** The bytes of a string in UTF-8. */
export function text(string: string): Uint8Array {
  return new TextEncoder().encode(string);
}

/** Bytes from hexadecimal digits; `""` is the empty key. */
export function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, "hex"));
}

/** Bytes as hexadecimal digits, for messages and comparisons; `undefined` stays. */
export function toHex(bytes: Uint8Array): string;
export function toHex(bytes: Uint8Array | undefined): string | undefined;
export function toHex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined
    ? undefined
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** `length` bytes that tell one `seed` from another and do not compress to nothing. */
export function patterned(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Every byte and position alike. */
export function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}

/** A four-byte key that orders as its number does. */
export function numbered(number: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}
