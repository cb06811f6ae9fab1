import { asKeyStoreError, isKeyStoreError, type KeyStoreError } from "./errors.ts";
import { Backoff, Deadline, within } from "./timing.ts";

/**
 * Asks a driver until it answers, for at most `limitMs` milliseconds: again
 * after `ERR_KEY_STORE_UNAVAILABLE`, never after another failure. Only for what
 * may be done twice.
 *
 * @param what what is done, for messages: `"a read"`
 * @param beforeRetry told of each failure that is not the last; what it throws ends the attempts
 */
export async function retrying<T>(
  what: string,
  limitMs: number,
  attempt: () => Promise<T>,
  beforeRetry: (failure: KeyStoreError) => void,
): Promise<T> {
  const deadline = new Deadline(limitMs);
  let backoff: Backoff | undefined;
  for (;;) {
    try {
      return await within(deadline.remainingMs, what, attempt());
    } catch (error) {
      const failure = asKeyStoreError(error);
      // What has no code of ours is a fault of the driver, not of the connection.
      const mayRetry = isKeyStoreError(error, "ERR_KEY_STORE_UNAVAILABLE");
      if (!mayRetry || deadline.isOver) throw failure;
      beforeRetry(failure);
    }
    backoff ??= new Backoff();
    await backoff.pause(deadline.remainingMs);
  }
}
