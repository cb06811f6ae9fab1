import { setTimeout as sleep } from "node:timers/promises";

const MAX_DELAY_MS = 30_000;

/** Pauses between attempts: each twice as long as the one before, up to half a minute, less a random part of up to a half. */
export class Backoff {
  #delayMs: number;

  constructor(firstDelayMs: number) {
    this.#delayMs = firstDelayMs;
  }

  /** Waits until the next attempt, or the signal aborts; at least `atLeastMs`, which is what a homeserver has asked for. */
  async wait(signal: AbortSignal, atLeastMs = 0): Promise<void> {
    const delay = this.#delayMs * (1 - Math.random() / 2);
    this.#delayMs = Math.min(this.#delayMs * 2, MAX_DELAY_MS);
    try {
      await sleep(Math.max(delay, atLeastMs), undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
