import { setTimeout as pause } from "node:timers/promises";
import {
  isKeyStoreError,
  type KeyStore,
  type Logger,
  messageOf,
  type OpenDeviceOptions,
} from "@holdfast/key-store-core";
import { Backoff } from "../backoff.ts";
import { type AtRest, requireEncryptedAtRest } from "../config/at-rest.ts";
import type { Encryption } from "../crypto/encryption.ts";
import { type OpenedEngine, openEngine } from "../engine/open-olm-machine.ts";
import { isMatrixClientError } from "../errors.ts";
import { AwaySync, type AwaySyncParts } from "../sync/away-sync.ts";
import type { SyncTarget } from "../sync/sync-loop.ts";
import { bringFromAny, deviceOn } from "./bring-over.ts";
import { type ClientMode, isElsewhere, type ModeEvent, remedyFor } from "./client-mode.ts";
import { Running, type RunningParts } from "./running.ts";
import type { Stores } from "./stores.ts";

/** What the supervisor works on. */
export interface SupervisorParts {
  readonly stores: Stores;
  readonly device: { readonly userId: string; readonly deviceId: string };
  readonly atRest: AtRest;
  readonly lease: Pick<OpenDeviceOptions, "lease" | "waitMs" | "acceptRollback">;
  readonly logger: Logger;
  readonly running: Omit<RunningParts, "onFatal" | "handled">;
  readonly away: Omit<AwaySyncParts, "heldToken" | "handled" | "closing" | keyof RunningParts> & {
    readonly userId: string;
  };
  /** Called with each device that was opened, before anything is done with it: the session is read from it or kept in it. */
  readonly onOpened: (opened: OpenedEngine) => Promise<void>;
  /** Called when a device begins to serve. */
  readonly onRunning: (running: Running) => void;
  readonly onMode: (event: ModeEvent) => void;
  readonly probe?: { readonly firstMs?: number; readonly longestMs?: number } | undefined;
}

/**
 * Keeps the client's encryption on a store: opens the device at the start,
 * pauses when the store goes away, asks for it with growing pauses, and goes on
 * where it was committed when it is back. Meanwhile plain rooms are served and
 * nothing is acknowledged to the homeserver.
 */
export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #closing = new AbortController();
  readonly #handled = new Set<string>();
  #mode: ClientMode | undefined;
  #reason: string | undefined;
  #running: Running | undefined;
  #onPreferred = false;
  #hasRun = false;
  #away: AwaySync | undefined;
  #heldToken: string | undefined;
  /** The store in the place of the one that was asked for, where it is the one to be opened again. */
  #fallback: { readonly keyStore: KeyStore; readonly mode: ClientMode } | undefined;
  #starting: Promise<void> | undefined;
  #probing: Promise<void> | undefined;
  /** Encryption has ended for this process: nothing begins it again. */
  #over = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  get mode(): ClientMode | undefined {
    return this.#mode;
  }

  /** Why encryption is paused or off; `undefined` where it runs. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether the store that was asked for serves now. */
  get keyStoreAvailable(): boolean {
    return this.#running !== undefined && this.#onPreferred;
  }

  /** The device at work; `undefined` while its store is away. */
  get running(): Running | undefined {
    return this.#running;
  }

  get encryption(): Encryption | undefined {
    return this.#running?.encryption;
  }

  /**
   * Opens the device on the store that was resolved, or begins without.
   *
   * @throws `ERR_KEY_STORE_WRONG_KEY`, `ERR_KEY_STORE_CONFIG`,
   * `ERR_KEY_STORE_CORRUPT`, `ERR_KEY_STORE_ROLLBACK`: loud at the start; what `onOpened` throws
   */
  start(signal?: AbortSignal): Promise<void> {
    this.#starting ??= this.#start(signal);
    return this.#starting;
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    const { stores } = this.#parts;
    const { keyStore, mode, degraded } = stores.resolved;
    if (mode === "waiting") {
      const status = keyStore.status.state === "unavailable" ? keyStore.status.reason : "it is not ready";
      return this.#goAway("waiting", `${keyStore.name} key store unavailable: ${status}`, undefined, "probe");
    }
    if (degraded) this.#fallback = { keyStore, mode };
    try {
      if (degraded) await this.#openOn(keyStore, mode, false, signal);
      else await this.#openOnPreferred(keyStore, signal);
      // The store that was asked for is looked for while another serves.
      if (degraded) this.#probe();
    } catch (error) {
      signal?.throwIfAborted();
      if (degraded && isElsewhere(error)) {
        // The keys are where they were asked for, and not here: it is not a conflict before that store has been seen.
        const reason = `the ${keyStore.name} store does not hold this device's keys (${messageOf(error)}): they are expected in the store that was asked for`;
        this.#fallback = undefined;
        return this.#goAway("waiting", reason, error, "probe");
      }
      const remedy = remedyFor(error);
      if (remedy === "off" && !isMatrixClientError(error, "IDENTITY_CONFLICT")) throw error;
      this.#goAway(remedy === "off" ? "off" : "paused", messageOf(error), error, remedy);
    }
  }

  /** Whoever takes sync responses in now. */
  async target(): Promise<SyncTarget> {
    if (this.#running !== undefined) return this.#running;
    this.#away ??= new AwaySync({
      ...this.#parts.running,
      ...this.#parts.away,
      heldToken: this.#heldToken,
      handled: this.#handled,
      closing: this.#closing.signal,
    });
    return this.#away;
  }

  /** Stops all, and gives the lease back. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#away?.end();
    await this.#starting?.catch(() => {});
    await this.#probing;
    await this.#running?.close().catch((error) => this.#parts.logger.warn(`Closing the device: ${messageOf(error)}`));
    await this.#parts.stores.close();
  }

  async #openOn(keyStore: KeyStore, mode: ClientMode, preferred: boolean, given?: AbortSignal): Promise<void> {
    const { atRest, device, onOpened, onRunning, running: parts } = this.#parts;
    // Taking over is for the start: two processes that did it after every outage would take the device from each other for ever.
    const lease = { ...this.#parts.lease };
    if (this.#hasRun && lease.lease === "take-over") lease.lease = "wait";
    const signal = given === undefined ? this.#closing.signal : AbortSignal.any([given, this.#closing.signal]);
    const opened = await openEngine({ keyStore, ...device, ...atRest, ...lease, signal });
    try {
      await onOpened(opened);
    } catch (error) {
      await opened.engine.close().catch(() => {});
      throw error;
    }
    const onFatal = (error: unknown): void => void this.#end(running, error);
    const running = await Running.start(opened, { ...parts, handled: this.#handled, onFatal }, signal);
    if (this.#over || signal.aborted) {
      await running.close();
      signal.throwIfAborted();
      return;
    }
    this.#running = running;
    this.#hasRun = true;
    this.#onPreferred = preferred;
    this.#parts.stores.use(keyStore);
    this.#away?.end();
    this.#away = undefined;
    this.#enter(mode, undefined, undefined);
    const { failed } = running.encryption.deviceStore;
    failed.addEventListener("abort", () => void this.#lost(running, keyStore), { once: true });
    if (failed.aborted) return this.#lost(running, keyStore);
    onRunning(running);
    running.begin();
  }

  /** The store of a device at work has failed. */
  async #lost(running: Running, keyStore: KeyStore): Promise<void> {
    if (this.#running !== running || this.#closing.signal.aborted) return;
    const error: unknown = running.encryption.deviceStore.failed.reason;
    const remedy = remedyFor(error);
    this.#heldToken = running.committedToken;
    this.#running = undefined;
    const what = isKeyStoreError(error) ? `${keyStore.name} key store: ` : "";
    this.#goAway(remedy === "off" ? "off" : "paused", `${what}${messageOf(error)}`, error, remedy, running);
  }

  /** The session has ended: whatever the store does, the homeserver does not know this device any more. */
  endSession(error: unknown): void {
    if (this.#over || this.#closing.signal.aborted) return;
    const running = this.#running;
    if (running !== undefined) return void this.#end(running, error);
    this.#goAway("off", messageOf(error), error, "off");
  }

  /** Encryption cannot go on with this device, although its store serves. */
  async #end(running: Running, error: unknown): Promise<void> {
    if (this.#running !== running) return;
    this.#heldToken = running.committedToken;
    this.#running = undefined;
    this.#goAway("off", messageOf(error), error, "off", running);
  }

  #goAway(mode: ClientMode, reason: string, error: unknown, remedy: "probe" | "off", ended?: Running): void {
    const { logger } = this.#parts;
    this.#over ||= remedy === "off";
    const plain = "rooms that are not encrypted go on, and the homeserver keeps what it has for this device";
    if (remedy === "probe") logger.warn(`Encryption is paused: ${reason}; ${plain}; the store is asked for again`);
    else logger.error(`Encryption has ended for this process: ${reason}; ${plain}`);
    this.#enter(mode, reason, error);
    const closed = ended?.close().catch((cause) => logger.error(`The device could not be closed: ${messageOf(cause)}`));
    if (remedy === "probe") this.#probe(closed);
  }

  #probe(after?: Promise<void>): void {
    if (this.#closing.signal.aborted) return;
    this.#probing = Promise.all([this.#probing, after]).then(() => this.#probeUntilThere());
  }

  async #probeUntilThere(): Promise<void> {
    const { probe, logger, stores } = this.#parts;
    const backoff = new Backoff(probe?.firstMs ?? 1_000, probe?.longestMs ?? 30_000);
    const signal = this.#closing.signal;
    while (!signal.aborted && !this.#over) {
      const went = await pause(backoff.next(), true, { signal, ref: false }).catch(() => false);
      if (!went) return;
      try {
        // Another look may have found it.
        if (this.keyStoreAvailable) return;
        const keyStore = await stores.preferredIfReady();
        if (this.#over) return;
        if (keyStore === undefined) {
          const { keyStore, mode } = this.#fallback ?? {};
          if (this.#running === undefined && keyStore !== undefined && mode !== undefined) {
            await this.#openOn(keyStore, mode, false);
          }
          continue;
        }
        await this.#changeTo(keyStore);
        logger.info(`${keyStore.name} key store is back: encryption goes on from what was committed there`);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (remedyFor(error) === "probe") logger.debug(`The key store is not there yet: ${messageOf(error)}`);
        else if (this.#running === undefined) return this.#goAway("off", messageOf(error), error, "off");
        else
          return logger.error(
            `The key store that was asked for cannot be used, ${this.#mode} goes on: ${messageOf(error)}`,
          );
      }
    }
  }

  /** The store that was asked for has come back, or has come at last. */
  async #changeTo(keyStore: KeyStore): Promise<void> {
    const running = this.#running;
    // Before what serves is closed for it.
    requireEncryptedAtRest(keyStore, this.#parts.atRest);
    this.#fallback = undefined;
    if (running !== undefined) {
      // What the store in its place holds goes there; meanwhile nothing is acknowledged.
      this.#heldToken = running.committedToken;
      this.#running = undefined;
      this.#enter("paused", `the device moves to the ${keyStore.name} store`, undefined);
      await running.close();
    }
    await this.#openOnPreferred(keyStore);
  }

  /** Opens the device on the store that was asked for, and brings it there first where it has lived in another one. */
  async #openOnPreferred(keyStore: KeyStore, signal?: AbortSignal): Promise<void> {
    const { device, atRest } = this.#parts;
    // Nothing is brought where it must not be.
    requireEncryptedAtRest(keyStore, atRest);
    const isActive = (await deviceOn(keyStore, device))?.status === "active";
    if (!isActive) await this.#bringOver(keyStore);
    try {
      await this.#openOn(keyStore, keyStore.mode, true, signal);
    } catch (error) {
      // The identity that the homeserver shows may be in the store that took its place once.
      if (!isActive || !isMatrixClientError(error, "IDENTITY_CONFLICT") || !(await this.#bringOver(keyStore)))
        throw error;
      await this.#openOn(keyStore, keyStore.mode, true, signal);
    }
  }

  #bringOver(to: KeyStore): Promise<boolean> {
    const { stores, device, atRest, lease, running, logger } = this.#parts;
    const parts = { to, device, atRest, lease, api: running.api, logger, signal: this.#closing.signal };
    return bringFromAny(stores.others(), parts);
  }

  #enter(mode: ClientMode, reason: string | undefined, error: unknown): void {
    const previous = this.#mode;
    this.#mode = mode;
    this.#reason = reason;
    if (previous !== mode) this.#parts.onMode({ mode, previous, reason, error });
  }
}
