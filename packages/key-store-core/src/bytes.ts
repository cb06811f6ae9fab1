/** The empty byte array: the first of all keys. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** Bytewise order, shorter before longer: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** The least key that is greater than `key`. */
export function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/**
 * A string with one UTF-16 code unit for each byte, so that strings order as
 * the bytes do: a key for maps and trees, which have no other for bytes.
 */
export function toText(key: Uint8Array): string {
  return bufferOf(key).toString("latin1");
}

/** The same bytes as a `Buffer`, with the methods that it has for text. */
function bufferOf(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bytes that {@link toText} was given. */
export function fromText(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** The bytes of an array of records, keys and values together. */
export function sizeOf(records: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]): number {
  let bytes = 0;
  for (const { key, value } of records) bytes += key.byteLength + value.byteLength;
  return bytes;
}
