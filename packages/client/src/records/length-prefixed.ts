/** Parts one after the other, each with its length before it in 4 bytes: different parts never give the same bytes. */
export function lengthPrefixed(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const whole: Uint8Array[] = [];
  for (const part of parts) {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.byteLength);
    whole.push(length, bytes);
  }
  return Buffer.concat(whole);
}
