/** Work that has begun and not settled: what closing waits for. */
export class InFlight {
  #count = 0;
  #drained: (() => void)[] = [];

  /** Counts a piece of work until it settles, and hands it back. */
  track<T>(work: Promise<T>): Promise<T> {
    this.#count += 1;
    work.then(this.#settled, this.#settled);
    return work;
  }

  /** Resolves when nothing is under way, what begins meanwhile included. */
  async drained(): Promise<void> {
    while (this.#count > 0) {
      await new Promise<void>((resolve) => {
        this.#drained.push(resolve);
      });
    }
  }

  readonly #settled = (): void => {
    this.#count -= 1;
    if (this.#count > 0 || this.#drained.length === 0) return;
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  };
}
