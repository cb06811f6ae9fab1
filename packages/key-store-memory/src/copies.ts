/** The greatest buffer that several copies share. */
const SHARED_BYTES = 8 * 1024;

/**
 * The bytes of one commit that have to be copied. Small ones are put together
 * into buffers, of which each costs much more to make than to fill; a record
 * that outlives all others of its commit keeps one of them.
 */
export class Copies {
  /** How much may still have to be copied. */
  #left: number;
  #shared = new Uint8Array(0);
  #used = 0;

  /** `bytes` is the sum of all that is to be owned. */
  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** The bytes themselves, or a copy where they are a small part of a buffer that would be kept from being freed. */
  owned(bytes: Uint8Array): Uint8Array {
    const { byteLength } = bytes;
    this.#left -= byteLength;
    if (bytes.buffer.byteLength <= 2 * byteLength + 256) return bytes;
    if (this.#used + byteLength > this.#shared.byteLength) {
      this.#shared = new Uint8Array(Math.max(byteLength, Math.min(byteLength + this.#left, SHARED_BYTES)));
      this.#used = 0;
    }
    const copy = this.#shared.subarray(this.#used, this.#used + byteLength);
    copy.set(bytes);
    this.#used += byteLength;
    return copy;
  }
}
