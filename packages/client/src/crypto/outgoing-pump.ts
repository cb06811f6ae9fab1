import { setTimeout as pause } from "node:timers/promises";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Backoff } from "../backoff.ts";
import { isMatrixClientError } from "../errors.ts";
import { askedToWait } from "../http/homeserver-error.ts";
import type { Encryption } from "./encryption.ts";

/** Sends what the engine has to send whenever it is told that there may be something, and again where that failed, no sooner than the homeserver asks for. */
export class OutgoingPump {
  readonly #encryption: Encryption;
  readonly #logger: Logger;
  readonly #onFatal: (error: unknown) => void;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;

  /** `onFatal` is told of a failure that no repetition mends: another identity, a store that is older than what was uploaded. */
  constructor(encryption: Encryption, logger: Logger, onFatal: (error: unknown) => void) {
    this.#encryption = encryption;
    this.#logger = logger;
    this.#onFatal = onFatal;
  }

  /** There may be something to send. */
  kick(): void {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    const backoff = new Backoff();
    while (this.#again && !this.#stopped.signal.aborted) {
      this.#again = false;
      try {
        await this.#encryption.flush();
        backoff.reset();
      } catch (error) {
        if (this.#stopped.signal.aborted || this.#encryption.deviceStore.failed.aborted) return;
        if (isFatal(error)) return this.#onFatal(error);
        this.#again = true;
        const pauseMs = Math.max(backoff.next(), askedToWait(error) ?? 0);
        this.#logger.warn(
          `Requests of the crypto engine were not sent, trying again in ${pauseMs} ms: ${messageOf(error)}`,
        );
        await pause(pauseMs, undefined, { signal: this.#stopped.signal, ref: false }).catch(() => {});
      }
    }
  }
}

function isFatal(error: unknown): boolean {
  return isMatrixClientError(error, "IDENTITY_CONFLICT") || isKeyStoreError(error, "ERR_KEY_STORE_ROLLBACK");
}
