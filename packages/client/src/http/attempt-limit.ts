// Taken at load: test suites replace them, and a network that is there is not theirs to stop.
const [setTimer, clearTimer] = [setTimeout, clearTimeout];

/** Longer than this a timer cannot wait: it would end at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The end of one attempt: the caller's signal, or too long a time without progress. */
export interface AttemptLimit extends Disposable {
  readonly signal: AbortSignal;
  /** Whether it was the time that ended the attempt. */
  readonly late: boolean;
  /** Lets the time begin again: something has happened. */
  progress(): void;
}

/**
 * A limit of `limitMs` milliseconds that ends with the caller's signal too.
 * Unlike `AbortSignal.any` it leaves nothing behind on a signal that lives as long as the process.
 */
export function attemptLimit(limitMs: number, outer: AbortSignal | undefined): AttemptLimit {
  const controller = new AbortController();
  let late = false;
  const start = () =>
    setTimer(
      () => {
        late = true;
        controller.abort();
      },
      Math.min(limitMs, LONGEST_MS),
    );
  const follow = () => controller.abort(outer?.reason);
  let timer = start();
  if (outer?.aborted === true) follow();
  outer?.addEventListener("abort", follow, { once: true });
  const end = () => {
    clearTimer(timer);
    outer?.removeEventListener("abort", follow);
  };
  return {
    signal: controller.signal,
    get late() {
      return late;
    },
    progress() {
      clearTimer(timer);
      timer = start();
    },
    [Symbol.dispose]: end,
  };
}
