/** Work that has begun and not settled: what closing waits for. */
export class InFlight {
  readonly #work = new Set<Promise<void>>();

  /** Counts a piece of work until it settles, and hands it back. */
  track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => {},
      () => {},
    );
    this.#work.add(settled);
    void settled.then(() => this.#work.delete(settled));
    return work;
  }

  /** Resolves when nothing is under way, what begins meanwhile included. */
  async drained(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }
}
