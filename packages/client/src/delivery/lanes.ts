/**
 * Runs work in lanes: in order within a lane, lanes beside each other, no more
 * of them at once than the limit.
 */
export class Lanes {
  readonly #limit: number;
  readonly #lanes = new Map<string, { tail: Promise<void>; pending: number }>();
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

  /** As {@link pending}, of one lane. */
  pendingIn(name: string): number {
    return this.#lanes.get(name)?.pending ?? 0;
  }

  /** Takes work, which never rejects. */
  add(name: string, work: () => Promise<void>): void {
    const lane = this.#lanes.get(name) ?? { tail: Promise.resolve(), pending: 0 };
    this.#lanes.set(name, lane);
    this.#pending += 1;
    lane.pending += 1;
    lane.tail = lane.tail.then(async () => {
      await this.#slot();
      try {
        await work();
      } finally {
        lane.pending -= 1;
        if (lane.pending === 0) this.#lanes.delete(name);
        this.#leave();
      }
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
