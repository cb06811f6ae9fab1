import { setTimeout as pause } from "node:timers/promises";
import { type Logger, messageOf } from "@holdfast/key-store-core";
import { Backoff } from "../backoff.ts";
import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi } from "../http/homeserver-api.ts";
import { isHomeserverError, rateLimit } from "../http/homeserver-error.ts";
import { parseSync, type SyncUpdate } from "./sync-response.ts";

/** Where responses go. */
export interface SyncTarget {
  /** Where to sync from; `undefined` from the start. */
  since(): Promise<string | undefined>;
  /** Takes a response in, whole or not at all. */
  take(update: SyncUpdate, since: string | undefined, signal: AbortSignal): Promise<void>;
  /** The pause after each response, in milliseconds: for one that asks for the same again. */
  readonly pauseMs: number;
  /** Aborts when another target takes its place. */
  readonly ended: AbortSignal;
}

/** What a sync loop works on. */
export interface SyncLoopParts {
  readonly api: HomeserverApi;
  readonly logger: Logger;
  /** Whoever takes responses in now. */
  readonly target: () => Promise<SyncTarget>;
  /** A response was taken in. */
  readonly onSynced: () => void;
  /** How long the homeserver may wait for something to tell, in milliseconds. */
  readonly longPollMs: number;
  readonly timelineLimit: number;
}

/** Asks the homeserver for news, until it is stopped. */
export class SyncLoop {
  readonly #parts: SyncLoopParts;
  readonly #filter: string;
  #askedFromStart = 0;
  /** How long the homeserver wants no sync: what else it limits says nothing of those. */
  #limitedMs = 0;

  constructor(parts: SyncLoopParts) {
    this.#parts = parts;
    this.#filter = JSON.stringify({
      presence: { types: [] },
      room: {
        ephemeral: { types: [] },
        state: { lazy_load_members: true },
        timeline: { limit: parts.timelineLimit, lazy_load_members: true },
      },
    });
  }

  /**
   * Resolves when the signal aborts.
   *
   * @throws `LOGIN_REFUSED` where the homeserver does not take the access token any more
   */
  async run(signal: AbortSignal): Promise<void> {
    const { logger, longPollMs, onSynced } = this.#parts;
    const backoff = new Backoff();
    // Whoever starts the client waits for the first response, news or not.
    let timeout = 0;
    while (!signal.aborted) {
      const target = await this.#parts.target();
      const until = AbortSignal.any([signal, target.ended]);
      try {
        await this.#once(target, timeout, until);
        onSynced();
        timeout = longPollMs;
        backoff.reset();
        await pause(target.pauseMs, undefined, { signal: until });
      } catch (error) {
        // Another target has taken over, or the client closes: what this one was about is of no matter.
        if (until.aborted) continue;
        if (isHomeserverError(error, "M_UNKNOWN_TOKEN")) {
          throw new MatrixClientError("LOGIN_REFUSED", "the homeserver does not take the access token any more", {
            cause: error,
          });
        }
        const pauseMs = Math.max(backoff.next(), this.#limitedMs);
        logger.warn(`The homeserver could not be synced with, trying again in ${pauseMs} ms: ${messageOf(error)}`);
        await pause(pauseMs, undefined, { signal: until }).catch(() => {});
      }
    }
  }

  async #once(target: SyncTarget, longPollMs: number, signal: AbortSignal): Promise<void> {
    const { api, logger } = this.#parts;
    const since = await target.since();
    // A sync from the start comes at once, however often it is asked for again; but not from a cache: Synapse keeps the
    // answer to the same question for two minutes.
    const timeout = since === undefined ? this.#askedFromStart++ % 1_000 : longPollMs;
    const query = { filter: this.#filter, since, timeout, set_presence: "offline" };
    this.#limitedMs = 0;
    const options = { query, signal, timeoutMs: timeout + 60_000, retry: "never" } as const;
    const response = await api.request("GET", "/v3/sync", options).catch((error) => {
      this.#limitedMs = rateLimit(error) ?? 0;
      throw error;
    });
    const update = parseSync(response);
    if (update === undefined) {
      throw new MatrixClientError(
        "HOMESERVER_UNREACHABLE",
        "the homeserver answered a sync without a token to go on from",
      );
    }
    if (update.malformed > 0) logger.warn(`${update.malformed} part(s) of a sync response were malformed and left out`);
    await target.take(update, since, signal);
  }
}
