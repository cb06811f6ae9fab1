import { Mutex } from "async-mutex";
import type { EngineRequest } from "../../crypto/outgoing.ts";
import { rateLimit } from "../../http/homeserver-error.ts";
import { pause } from "../../send/pause.ts";

/** Sends requests one after the other, telling of each that was sent, then what the engine has to send of its own accord. */
export type SendAll = (requests: readonly EngineRequest[], sent: () => void) => Promise<void>;

/**
 * What a verification has to send, in order. A request that fails stays, with
 * those after it, until they are sent again or dropped: the engine makes each of them once.
 */
export class UnsentRequests {
  readonly #sendAll: SendAll;
  readonly #oneAtATime = new Mutex();
  #waiting: EngineRequest[] = [];
  #dropping = new AbortController();

  constructor(sendAll: SendAll) {
    this.#sendAll = sendAll;
  }

  add(requests: readonly EngineRequest[]): void {
    this.#waiting.push(...requests);
  }

  /** Nothing that waits is sent any more. */
  drop(): void {
    this.#waiting = [];
    this.#dropping.abort();
    this.#dropping = new AbortController();
  }

  /**
   * Sends what waits; what the homeserver refuses for having been asked too often is sent when that is over.
   *
   * @throws what requests and `Encryption.run` throw: what was not sent waits on
   */
  send(): Promise<void> {
    return this.#oneAtATime.runExclusive(async () => {
      for (;;) {
        const { signal } = this.#dropping;
        try {
          return await this.#sendAll([...this.#waiting], () => {
            if (!signal.aborted) this.#waiting.shift();
          });
        } catch (error) {
          const waitMs = rateLimit(error);
          if (waitMs === undefined && !signal.aborted) throw error;
          if (waitMs !== undefined) await pause(waitMs, signal);
        }
      }
    });
  }
}
