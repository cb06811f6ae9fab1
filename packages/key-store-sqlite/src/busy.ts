import { setTimeout as delay } from "node:timers/promises";
import { isBusy, toKeyStoreError } from "./errors.ts";
import type { SqliteConfig } from "./options.ts";

/**
 * Makes attempts until one does not meet another process's lock, for
 * `busyTimeoutMs` at most, without blocking the process between them. The
 * first is made before this returns. Rejects with a `KeyStoreError`.
 */
export async function whileBusy<T>(
  { path, busyTimeoutMs }: SqliteConfig,
  attempt: () => T | Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const patience = performance.now() + busyTimeoutMs;
  for (let pause = 2; ; pause = Math.min(pause * 2, 50)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= patience || signal?.aborted) throw toKeyStoreError(error, path);
    }
    // At random, so that two processes do not meet each time.
    await delay(pause * (0.5 + Math.random()));
  }
}
