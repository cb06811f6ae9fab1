import { setTimeout as pause } from "node:timers/promises";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Mutex } from "async-mutex";
import type { Encryption } from "../../crypto/encryption.ts";
import { engineRequest } from "../../crypto/outgoing.ts";
import { isHomeserverError, rateLimit } from "../../http/homeserver-error.ts";

/** How fast room keys go to the backup. */
export interface UploadPace {
  /** The longest wait after a new room key, in milliseconds: at random, so that not all devices in a room come at once. Default: 2,000. */
  readonly startMs?: number | undefined;
  /** The pause between two requests, of 100 room keys each at most, in milliseconds. Default: 100. */
  readonly betweenMs?: number | undefined;
  /**
   * The pause before the homeserver is asked for its current backup again where the last one is gone, in milliseconds;
   * it grows to an hour. Default: 30,000.
   */
  readonly lookAgainMs?: number | undefined;
}

/** What uploading works on. */
export interface BackupUploadParts {
  readonly encryption: Encryption;
  readonly logger: Logger;
  readonly pace: UploadPace;
  /** Called where the homeserver says that the version is not the current one: nothing is uploaded to it any more. */
  readonly onSuperseded: (errcode: string) => Promise<void>;
}

const MAX_BACKOFF_MS = 300_000;
const SUPERSEDED = ["M_WRONG_ROOM_KEYS_VERSION", "M_NOT_FOUND"];

/** Takes the room keys that are not in the backup to it. */
export class BackupUpload {
  readonly #parts: BackupUploadParts;
  readonly #oneAtATime = new Mutex();
  readonly #closing = new AbortController();
  #background: Promise<void> | undefined;
  /** Room keys came after the background round had begun. */
  #again = false;

  constructor(parts: BackupUploadParts) {
    this.#parts = parts;
  }

  /** Uploads soon, in the background, until nothing is left; failures are tried again, further and further apart. */
  kick(): void {
    this.#again = true;
    if (this.#closing.signal.aborted) return;
    this.#background ??= this.#runBackground().finally(() => {
      this.#background = undefined;
      // It was called when the round was at its end.
      if (this.#again) this.kick();
    });
  }

  /**
   * Uploads now, until nothing is left. Answers with the number of requests that it took.
   *
   * @throws what `Encryption.send` throws; what was uploaded before stays so
   */
  drain(signal: AbortSignal | undefined): Promise<number> {
    const until = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    return this.#oneAtATime.runExclusive(() => this.#drain(until));
  }

  /** Ends what runs in the background, and waits for it. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#background;
  }

  async #drain(signal: AbortSignal): Promise<number> {
    const { encryption, pace, onSuperseded } = this.#parts;
    for (let requests = 0; ; requests += 1) {
      if (requests > 0) await pause(pace.betweenMs ?? 100, undefined, { signal, ref: false });
      signal.throwIfAborted();
      const request = await encryption.run(async (machine) => {
        const made = await machine.backupRoomKeys();
        return made && engineRequest(made);
      });
      if (request === undefined) return requests;
      try {
        await encryption.send(request, signal);
      } catch (error) {
        if (isHomeserverError(error) && SUPERSEDED.includes(error.errcode)) await onSuperseded(error.errcode);
        throw error;
      }
    }
  }

  async #runBackground(): Promise<void> {
    const { logger, pace } = this.#parts;
    const { signal } = this.#closing;
    let waitMs = Math.random() * (pace.startMs ?? 2_000);
    for (let failures = 0; this.#again && !signal.aborted; ) {
      try {
        await pause(waitMs, undefined, { signal, ref: false });
        this.#again = false;
        await this.drain(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (isHomeserverError(error) && SUPERSEDED.includes(error.errcode)) return;
        if (isKeyStoreError(error)) {
          logger.warn(`Room keys are not taken to the backup any more: ${messageOf(error)}`);
          this.#again = false;
          return;
        }
        failures += 1;
        waitMs = Math.max(
          rateLimit(error) ?? 0,
          Math.min(1_000 * 2 ** failures, MAX_BACKOFF_MS) * (0.5 + Math.random() / 2),
        );
        logger.info(`Room keys wait for the backup: ${messageOf(error)}`);
        this.#again = true;
      }
    }
  }
}
