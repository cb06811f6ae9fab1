import { setTimeout as pause } from "node:timers/promises";
import { type Change, isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Backoff } from "../backoff.ts";
import { discardOutboundSessions } from "../crypto/discard-outbound.ts";
import type { Encryption, RoomKey } from "../crypto/encryption.ts";
import { EngineEncryption } from "../crypto/engine-encryption.ts";
import type { SendToRoom } from "../crypto/outgoing.ts";
import { OutgoingPump } from "../crypto/outgoing-pump.ts";
import { HeldEvents } from "../delivery/held-events.ts";
import { Inbox } from "../delivery/inbox.ts";
import { InboxDelivery } from "../delivery/inbox-delivery.ts";
import type { PersistenceParts } from "../delivery/persistent-hand-over.ts";
import { SetAside } from "../delivery/set-aside.ts";
import type { OpenedEngine } from "../engine/open-olm-machine.ts";
import { isMatrixClientError } from "../errors.ts";
import type { UndecryptableEvent } from "../events.ts";
import type { HomeserverApi } from "../http/homeserver-api.ts";
import { askedToWait } from "../http/homeserver-error.ts";
import { DurableSync, type RoomsInSync } from "../sync/durable-sync.ts";
import type { SyncTarget } from "../sync/sync-loop.ts";
import type { SyncUpdate } from "../sync/sync-response.ts";
import type { TimelineParts } from "../sync/timeline.ts";
import type { ProcessedToDevice } from "../sync/to-device.ts";
import type { DecryptionTrust } from "../trust/trust-requirement.ts";

/** What the client does with one opened device. */
export interface RunningParts extends PersistenceParts, Omit<TimelineParts, "userId"> {
  readonly api: HomeserverApi;
  readonly logger: Logger;
  readonly rooms: RoomsInSync;
  readonly requirement: DecryptionTrust;
  readonly deliverHistory: boolean;
  /** Whether the device is opened although its store may have gone back: its outbound Megolm sessions are then discarded. */
  readonly acceptRollback: boolean;
  readonly concurrency: number;
  readonly maxHeld: number;
  readonly maxSetAside: number;
  /** Events, invitations and knocks whose handlers are done, and that the store may not know of: it was away, or failed. */
  readonly handled: Set<string>;
  readonly onUndecryptable: (event: UndecryptableEvent) => Promise<void>;
  /** What is committed besides, to this encryption, when the handlers of an event are done. */
  readonly alsoWhenDone: (eventId: string, encryption: Encryption) => Promise<readonly Change[]>;
  readonly fetchKey: (key: RoomKey) => Promise<boolean>;
  /** Sends what the engine has for rooms. */
  readonly sendToRoom: SendToRoom;
  /** Messages between devices have come, and are durable. */
  readonly onToDevice: (messages: readonly ProcessedToDevice[]) => void;
  /** Encryption cannot go on with this device: another identity, a store that was rolled back. */
  readonly onFatal: (error: unknown) => void;
}

/** How often the homeserver is asked for this device's keys after it said that they may have changed. */
const CHECKS = 6;

/**
 * One opened device at work: syncs are taken in durably, the inbox is handed
 * over, the engine's requests are sent. Ends with its store.
 */
export class Running implements SyncTarget {
  readonly encryption: EngineEncryption;
  readonly inbox: Inbox;
  readonly held: HeldEvents;
  readonly setAside: SetAside;
  readonly pump: OutgoingPump;
  readonly pauseMs = 0;
  readonly #parts: RunningParts;
  readonly #sync: DurableSync;
  readonly #delivery: InboxDelivery;
  readonly #ending = new AbortController();
  #token: string | undefined;

  private constructor(
    encryption: EngineEncryption,
    inbox: Inbox,
    held: HeldEvents,
    setAside: SetAside,
    parts: RunningParts,
  ) {
    const { userId } = encryption;
    this.encryption = encryption;
    this.inbox = inbox;
    this.held = held;
    this.setAside = setAside;
    this.#parts = parts;
    this.#sync = new DurableSync({ ...parts, encryption, inbox, userId });
    const alsoWhenDone = (eventId: string) => parts.alsoWhenDone(eventId, encryption);
    this.#delivery = new InboxDelivery({ ...parts, encryption, inbox, held, setAside, alsoWhenDone });
    this.pump = new OutgoingPump(encryption, parts.logger, parts.onFatal);
    encryption.deviceStore.failed.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /**
   * Begins to work on an opened device, whose identity is compared with what the
   * homeserver shows before anything else is done with it.
   *
   * @throws `IDENTITY_CONFLICT`; what reads of the store and `HomeserverApi.request` throw. The engine is closed then
   */
  static async start({ engine, collection }: OpenedEngine, parts: RunningParts, signal: AbortSignal): Promise<Running> {
    const { api, logger, sendToRoom } = parts;
    const encryption = new EngineEncryption({ engine, collection, api, logger, sendToRoom });
    try {
      await encryption.checkIdentity(signal);
      if (parts.acceptRollback) await discardOutboundSessions(encryption);
      const inbox = await Inbox.open(collection);
      const held = await HeldEvents.open(collection, parts.maxHeld);
      const setAside = await SetAside.open(collection, parts.maxSetAside);
      const running = new Running(encryption, inbox, held, setAside, parts);
      running.#token = await running.#sync.since();
      return running;
    } catch (error) {
      await encryption.close().catch(() => {});
      throw error;
    }
  }

  /** Hands over what was left in the inbox, and sends what the engine has to send. */
  begin(): void {
    this.#delivery.start();
    this.pump.kick();
  }

  /** The token committed last, from memory: it is asked for when the store is gone. */
  get committedToken(): string | undefined {
    return this.#token;
  }

  get ended(): AbortSignal {
    return this.#ending.signal;
  }

  since(): Promise<string | undefined> {
    return this.#sync.since();
  }

  async take(update: SyncUpdate, since: string | undefined, signal: AbortSignal): Promise<void> {
    const messages = await this.#sync.take(update, since, signal);
    this.#token = update.nextBatch;
    this.#delivery.kick();
    this.pump.kick();
    if (messages.length > 0) this.#parts.onToDevice(messages);
    if (update.deviceLists.changed.includes(this.encryption.userId)) void this.#checkAgain();
  }

  /** Asks elsewhere, such as in the backup, for the keys that events wait for. */
  fetchHeld(): void {
    this.#delivery.fetchHeld();
  }

  /** How much waits: to be handed over, for its key, for another try. */
  async waiting(): Promise<{ inbox: number; held: number; setAside: number }> {
    return { inbox: await this.inbox.size(), held: this.held.size, setAside: await this.setAside.size() };
  }

  /** Puts what was set aside back into the inbox; answers with how many they are. */
  async retrySetAside(): Promise<number> {
    let count = 0;
    await this.encryption.run(async () => {
      const back = await this.setAside.putBack(this.inbox);
      count = back.count;
      await this.encryption.commit(back.changes);
    });
    this.#delivery.kick();
    return count;
  }

  /** Stops, waits for what is under way in the engine, and gives the device's lease back. Idempotent. */
  async close(): Promise<void> {
    this.#stop();
    await this.encryption.close();
  }

  #stop(): void {
    this.#ending.abort();
    this.#delivery.stop();
    this.pump.stop();
  }

  /** Somebody changed the devices of this user: it may have been ours. */
  async #checkAgain(): Promise<void> {
    const backoff = new Backoff(1_000, 60_000);
    for (let left = CHECKS; left > 0; left -= 1) {
      try {
        return await this.encryption.checkIdentity(this.ended);
      } catch (error) {
        if (this.ended.aborted || isKeyStoreError(error)) return;
        if (isMatrixClientError(error, "IDENTITY_CONFLICT")) return this.#parts.onFatal(error);
        const pauseMs = Math.max(backoff.next(), askedToWait(error) ?? 0);
        const next = left > 1 ? `it is asked again in ${pauseMs} ms` : "it is not asked again for now";
        this.#parts.logger.warn(
          `The homeserver has not said which keys it shows for this device, ${next}: ${messageOf(error)}`,
        );
        if (left > 1) await pause(pauseMs, undefined, { signal: this.ended, ref: false }).catch(() => {});
      }
    }
  }
}
