const VERSION = 3;
const INDEX_TAG = 0x08;

/** The index of a Megolm message, which stands in clear in it: a version byte, then a tag and a varint. */
export function megolmIndex(ciphertext: string): number {
  const bytes = Buffer.from(ciphertext, "base64");
  if (bytes[0] !== VERSION || bytes[1] !== INDEX_TAG) throw new Error(`no Megolm message: ${ciphertext}`);
  let index = 0;
  for (let offset = 2, factor = 1; ; offset += 1, factor *= 128) {
    const byte = bytes[offset];
    if (byte === undefined) throw new Error(`a Megolm message that ends inside its index: ${ciphertext}`);
    index += (byte & 0x7f) * factor;
    if (byte < 0x80) return index;
  }
}
