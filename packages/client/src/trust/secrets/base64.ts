/** Unpadded standard base64, as Matrix writes bytes. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64").replace(/=+$/, "");
}

/** Bytes from base64 with or without padding; `undefined` for what is not base64. */
export function decodeBase64(text: string): Uint8Array | undefined {
  // Buffer skips what it does not know, and so takes every text for base64.
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  return new Uint8Array(Buffer.from(text, "base64"));
}
