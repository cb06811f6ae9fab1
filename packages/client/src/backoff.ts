/** Growing pauses with jitter, so that many clients of one server do not come back at the same moment. */
export class Backoff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #attempt = 0;

  /** Both in milliseconds. */
  constructor(firstMs = 500, longestMs = 30_000) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  /** How long to wait now, in whole milliseconds. */
  next(): number {
    const full = Math.min(this.#longestMs, this.#firstMs * 2 ** this.#attempt);
    this.#attempt += 1;
    return Math.round(full * (0.75 + Math.random() / 2));
  }

  /** It went well: the next pause is the first again. */
  reset(): void {
    this.#attempt = 0;
  }
}
