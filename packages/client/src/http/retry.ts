import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@holdfast/key-store-core";
import pRetry from "p-retry";
import { Failure } from "./failure.ts";
import type { RequestOptions } from "./homeserver-api.ts";

/** How often and how far apart requests are tried again. */
export interface RetryLimits {
  /** How often one request is tried again. Default: 4. */
  readonly retries: number;
  /** The pause before the second attempt, in milliseconds: up to twice of it, at random; it doubles with each. Default: 500. */
  readonly firstMs: number;
  /** The longest pause, in milliseconds. Default: 15,000. */
  readonly maxMs: number;
  /** The longest wait that a homeserver may ask for, in milliseconds; where it asks for more, the caller decides. Default: 60,000. */
  readonly maxRetryAfterMs: number;
}

export const RETRY_LIMITS: RetryLimits = { retries: 4, firstMs: 500, maxMs: 15_000, maxRetryAfterMs: 60_000 };

/** What {@link withRetries} goes by. */
export interface RetryRules extends RetryLimits {
  readonly retry: NonNullable<RequestOptions["retry"]>;
  readonly signal: AbortSignal | undefined;
  readonly logger: Logger;
}

/**
 * Makes attempts until one succeeds, with exponential backoff and jitter, and
 * no sooner than the homeserver asks for.
 *
 * @throws the error of the last {@link Failure}; the signal's reason
 */
export async function withRetries<T>(attempt: () => Promise<T>, rules: RetryRules): Promise<T> {
  const { retries, firstMs, maxMs, maxRetryAfterMs, retry, signal, logger } = rules;
  const may = (error: Error): error is Failure =>
    error instanceof Failure && allowed(error.again, retry) && error.afterMs <= maxRetryAfterMs;
  try {
    return await pRetry(attempt, {
      retries,
      minTimeout: firstMs,
      maxTimeout: maxMs,
      randomize: true,
      ...(signal !== undefined && { signal }),
      shouldRetry: ({ error }) => may(error),
      async onFailedAttempt({ error, attemptNumber, retriesLeft, retryDelay }) {
        if (!may(error) || retriesLeft === 0) return;
        const waitMs = Math.max(retryDelay, error.afterMs);
        const line = `attempt ${attemptNumber} failed, the next in ${Math.round(waitMs)} ms: ${error.message}`;
        if (error.again === "limited") logger.debug(line);
        else logger.warn(line);
        if (waitMs > retryDelay) await delay(waitMs - retryDelay, undefined, signal && { signal });
      },
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof Failure ? error.error : error;
  }
}

function allowed(again: Failure["again"], retry: RetryRules["retry"]): boolean {
  if (retry === "never" || again === "no") return false;
  return again === "limited" || retry === "safe";
}
