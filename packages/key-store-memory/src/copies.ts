import type { StoredRecord } from "@holdfast/key-store-core";

/** The greatest buffer that several copies share. */
const SHARED_BYTES = 8 * 1024;

/**
 * The bytes of one commit. Those are copied that would keep a much greater
 * buffer from being freed. Small copies are put together into buffers, of which
 * each costs much more to make than to fill; a record that outlives all others
 * of its commit keeps one of them.
 */
export class Copies {
  /** How many of its bytes each buffer has in the commit. */
  readonly #used = new Map<ArrayBufferLike, number>();
  /** How much may still have to be copied. */
  #left = 0;
  #shared = new Uint8Array(0);
  #filled = 0;

  constructor(records: readonly StoredRecord[]) {
    let buffer: ArrayBufferLike | undefined;
    let used = 0;
    const count = (bytes: Uint8Array): void => {
      // Those of a pool come one after the other.
      if (bytes.buffer !== buffer) {
        if (buffer !== undefined) this.#used.set(buffer, used);
        buffer = bytes.buffer;
        used = this.#used.get(buffer) ?? 0;
      }
      used += bytes.byteLength;
      this.#left += bytes.byteLength;
    };
    for (const { key, value } of records) {
      count(key);
      count(value);
    }
    if (buffer !== undefined) this.#used.set(buffer, used);
  }

  /** The bytes themselves, or a copy where the commit has only a small part of their buffer. */
  owned(bytes: Uint8Array): Uint8Array {
    const { buffer, byteLength } = bytes;
    this.#left -= byteLength;
    if (buffer.byteLength <= 2 * (this.#used.get(buffer) ?? byteLength) + 256) return bytes;
    if (this.#filled + byteLength > this.#shared.byteLength) {
      this.#shared = new Uint8Array(Math.max(byteLength, Math.min(byteLength + this.#left, SHARED_BYTES)));
      this.#filled = 0;
    }
    const copy = this.#shared.subarray(this.#filled, this.#filled + byteLength);
    copy.set(bytes);
    this.#filled += byteLength;
    return copy;
  }
}
