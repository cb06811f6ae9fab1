/**
 * Runs work in lanes: in order within a lane, lanes beside each other, no more
 * of them at once than the limit.
 */
export class Lanes {
  readonly #limit: number;
  readonly #tails = new Map<string, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #pending = 0;
  #idle: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How much work has been given and is not done. */
  get pending(): number {
    return this.#pending;
  }

  /** Takes work, which never rejects. */
  add(lane: string, work: () => Promise<void>): void {
    this.#pending += 1;
    const before = this.#tails.get(lane) ?? Promise.resolve();
    const done = before.then(async () => {
      await this.#slot();
      try {
        await work();
      } finally {
        this.#leave();
      }
    });
    this.#tails.set(lane, done);
    void done.then(() => {
      if (this.#tails.get(lane) === done) this.#tails.delete(lane);
    });
  }

  /** Resolves when less work is pending than this. */
  async below(count: number): Promise<void> {
    while (this.#pending >= count) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #slot(): Promise<void> {
    if (this.#running < this.#limit) {
      this.#running += 1;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    this.#pending -= 1;
    const next = this.#waiting.shift();
    // Its slot goes to whoever waits longest.
    if (next === undefined) this.#running -= 1;
    else next();
    for (const wake of this.#idle.splice(0)) wake();
  }
}
