import { setTimeout as pause } from "node:timers/promises";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Backoff } from "../../backoff.ts";

/** What looks for a backup. */
export interface BackupLookParts {
  /** Answers whether there is one now that room keys go to. */
  readonly look: (signal: AbortSignal) => Promise<boolean>;
  readonly logger: Logger;
  /** The pause after the first look that found none, in milliseconds; each after it is longer, an hour at most. */
  readonly firstMs: number;
}

const LONGEST_MS = 3_600_000;

/** Looks in the background for a backup that room keys can go to, with growing pauses, until there is one. */
export class BackupLook {
  readonly #parts: BackupLookParts;
  readonly #closing = new AbortController();
  #looking: Promise<void> | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(parts: BackupLookParts) {
    this.#parts = parts;
  }

  /** Begins, unless it is at it: at once, or after the first pause where a look was just made. */
  begin(): void {
    if (this.#closing.signal.aborted) return;
    this.#looking ??= this.#untilFound().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Ends, and waits for a look under way. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#looking;
  }

  async #untilFound(): Promise<void> {
    const { look, logger, firstMs } = this.#parts;
    const { signal } = this.#closing;
    const backoff = new Backoff(firstMs, LONGEST_MS);
    let waitMs = performance.now() - this.#lastAt < firstMs ? backoff.next() : 0;
    while (!signal.aborted) {
      try {
        await pause(waitMs, undefined, { signal, ref: false });
        if (await look(signal)) return;
      } catch (error) {
        if (signal.aborted || isKeyStoreError(error)) return;
        logger.info(`The backup of room keys could not be looked at: ${messageOf(error)}`);
      } finally {
        this.#lastAt = performance.now();
      }
      waitMs = backoff.next();
    }
  }
}
