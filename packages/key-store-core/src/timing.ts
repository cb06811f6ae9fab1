import { setTimeout as delay } from "node:timers/promises";
import { KeyStoreError } from "./errors.ts";

// Taken at load: test suites replace them, and a time limit of a database that is there is not theirs to stop.
const now = performance.now.bind(performance);
const setTimer = setTimeout;

/** A point in time after which an operation gives up, on a clock that never goes back. */
export class Deadline {
  readonly #at: number;

  constructor(limitMs: number) {
    this.#at = now() + limitMs;
  }

  get remainingMs(): number {
    return Math.max(0, this.#at - now());
  }

  get isOver(): boolean {
    return this.remainingMs === 0;
  }
}

/** A piece of work that must be done by a time. */
interface Watch {
  readonly dueAt: number;
  readonly late: () => void;
}

/** How often the time of what is watched is looked at, in milliseconds: one timer for all, as nearly none is late. */
const LOOK_EVERY_MS = 25;

const watches = new Set<Watch>();
let looking = false;

function look(): void {
  const time = now();
  for (const watch of watches) {
    if (watch.dueAt > time) continue;
    watches.delete(watch);
    watch.late();
  }
  looking = watches.size > 0;
  if (looking) setTimer(look, LOOK_EVERY_MS);
}

/**
 * Settles as `work` does, or rejects with `ERR_KEY_STORE_UNAVAILABLE` once
 * `limitMs` milliseconds are over, or up to 25 more. The work itself goes on:
 * what it comes to later is nobody's.
 */
export function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const watch: Watch = {
      dueAt: now() + limitMs,
      late() {
        const message = `${what} had no answer within ${Math.round(limitMs)} ms`;
        reject(new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message));
      },
    };
    watches.add(watch);
    if (!looking) {
      looking = true;
      setTimer(look, LOOK_EVERY_MS);
    }
    work.then(
      (value) => {
        watches.delete(watch);
        resolve(value);
      },
      (error) => {
        watches.delete(watch);
        reject(error);
      },
    );
  });
}

/** The pauses between attempts: doubling from 20 ms to `maxMs`, each with up to half of it taken off at random. */
export class Backoff {
  readonly #maxMs: number;
  #nextMs = 20;

  constructor(maxMs = 1_000) {
    this.#maxMs = maxMs;
  }

  /** Waits for the next pause, cut to `limitMs`. Rejects with the signal's reason. */
  async pause(limitMs = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<void> {
    const ms = Math.min(this.#nextMs * (1 - Math.random() / 2), limitMs);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#maxMs);
    await delay(ms, undefined, { signal }).catch((error) => {
      throw signal?.reason ?? error;
    });
  }
}

/** Lets one task at a time through, in the order in which they came. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => {});
    return result;
  }
}
