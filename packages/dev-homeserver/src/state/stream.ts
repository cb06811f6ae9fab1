/**
 * The order of everything that a sync may report: each change takes the next
 * position, and whoever waits for changes is woken.
 */
export class Stream {
  #position = 0;
  #waiting = new Set<() => void>();

  /** The position of the newest change; 0 before the first. */
  get position(): number {
    return this.#position;
  }

  /** Takes the next position for a change, and wakes everybody once the caller has made it. */
  advance(): number {
    this.#position += 1;
    const woken = this.#waiting;
    this.#waiting = new Set();
    queueMicrotask(() => {
      for (const wake of woken) wake();
    });
    return this.#position;
  }

  /** Resolves at the next change, after `timeoutMs`, or when the signal aborts, whichever is first. */
  change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener("abort", done);
      this.#waiting.add(done);
    });
  }
}
