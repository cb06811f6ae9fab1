import { setTimeout as sleep } from "node:timers/promises";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Semaphore } from "async-mutex";
import { Backoff } from "../backoff.ts";
import type { RoomKey } from "../crypto/encryption.ts";
import { rateLimit } from "../http/homeserver-error.ts";
import { pause } from "../send/pause.ts";

/** What keys are fetched with. */
export interface KeyFetchesParts {
  /** Asks elsewhere for a key; answers whether it came. Rejects where that is not known. */
  readonly fetchKey: (key: RoomKey) => Promise<boolean>;
  readonly logger: Logger;
  /** Nothing is fetched any more. */
  readonly stopped: AbortSignal;
}

/** How long an event waits for its key, in milliseconds: what comes after it in its room waits too. */
const PATIENCE_MS = 3_000;
/** For how long nothing is waited for at all after that was in vain, in milliseconds. */
const IMPATIENT_MS = 60_000;
const AT_ONCE = 8;
/** How many keys are asked for, or asked for again later. */
const MOST = 1_000;
const ATTEMPTS = 6;

/**
 * Fetches room keys from elsewhere, such as the backup, beside everything else:
 * an event waits a moment for its own, and no room waits for a server that does
 * not answer. What fails is tried again a few times; a key that comes late is
 * told of by the engine.
 */
export class KeyFetches {
  readonly #parts: KeyFetchesParts;
  readonly #slots = new Semaphore(AT_ONCE);
  /** Keys that are asked for, or asked for again later, by their names. */
  readonly #underWay = new Map<string, Promise<boolean>>();
  #impatientUntil = 0;

  constructor(parts: KeyFetchesParts) {
    this.#parts = parts;
  }

  /** Whether the key has come, within a few seconds; it is fetched on where it takes longer. Never rejects. */
  async soon(key: RoomKey): Promise<boolean> {
    const { stopped } = this.#parts;
    const fetched = this.#begin(key);
    if (performance.now() < this.#impatientUntil) return false;
    const answered = new AbortController();
    const patience = sleep(PATIENCE_MS, undefined, { signal: AbortSignal.any([stopped, answered.signal]), ref: false });
    const came = await Promise.race([fetched, patience.catch(() => undefined)]);
    answered.abort();
    if (came === undefined && !stopped.aborted) this.#impatientUntil = performance.now() + IMPATIENT_MS;
    return came ?? false;
  }

  /** Fetches keys one after the other: only one of them at a time is in the way of what {@link soon} asks for. Never rejects. */
  async inTurn(keys: Iterable<RoomKey>): Promise<void> {
    for (const key of keys) {
      if (this.#parts.stopped.aborted) return;
      await this.#begin(key);
    }
  }

  #begin(key: RoomKey): Promise<boolean> {
    const name = JSON.stringify([key.roomId, key.sessionId]);
    const known = this.#underWay.get(name);
    if (known !== undefined || this.#underWay.size >= MOST) return known ?? Promise.resolve(false);
    const fetched = this.#fetch(key).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, fetched);
    return fetched;
  }

  /** Tries until there is an answer, a few times. */
  async #fetch(key: RoomKey): Promise<boolean> {
    const { fetchKey, logger, stopped } = this.#parts;
    const backoff = new Backoff(1_000, 60_000);
    for (let left = ATTEMPTS; left > 0 && !stopped.aborted; left -= 1) {
      try {
        const came = await this.#slots.runExclusive(() => (stopped.aborted ? false : fetchKey(key)));
        this.#impatientUntil = 0;
        return came;
      } catch (error) {
        if (isKeyStoreError(error) || stopped.aborted) return false;
        logger.debug(`A room key could not be asked for: ${messageOf(error)}`);
        if (left > 1) await pause(Math.max(rateLimit(error) ?? 0, backoff.next()), stopped);
      }
    }
    return false;
  }
}
