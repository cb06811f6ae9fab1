import { type Change, isKeyStoreError } from "@holdfast/key-store-core";
import type { ClientMode, ModeEvent } from "./availability/client-mode.ts";
import type { Running } from "./availability/running.ts";
import type { Stores } from "./availability/stores.ts";
import { Supervisor } from "./availability/supervisor.ts";
import type { RoomKey } from "./crypto/encryption.ts";
import type { SendToRoom } from "./crypto/outgoing.ts";
import { HandOvers } from "./delivery/hand-over.ts";
import type { Handlers } from "./delivery/handlers.ts";
import type { ErrorEvent, IncomingEvent, MatrixClientEvents } from "./events.ts";
import type { HomeserverApi } from "./http/homeserver-api.ts";
import type { CheckedOptions } from "./matrix-client-options.ts";
import { RoomActions } from "./rooms/room-actions.ts";
import { Rooms } from "./rooms/rooms.ts";
import { Encryptor } from "./send/encryptor.ts";
import { Messages } from "./send/messages.ts";
import { Outbox } from "./send/outbox.ts";
import type { ClientSession } from "./session/client-session.ts";
import { SyncLoop } from "./sync/sync-loop.ts";
import type { ProcessedToDevice } from "./sync/to-device.ts";
import type { BackupState } from "./trust/backup/key-backup.ts";
import { DeviceTrust } from "./trust/device-trust.ts";
import type { Trust } from "./trust/trust.ts";

/** What a connection is made of. */
export interface ConnectionParts {
  readonly options: CheckedOptions;
  readonly api: HomeserverApi;
  readonly session: ClientSession;
  readonly stores: Stores;
  readonly handlers: Handlers<MatrixClientEvents>;
  readonly onMode: (event: ModeEvent) => void;
  readonly onBackup: (state: BackupState) => void;
  readonly onError: (event: ErrorEvent) => void;
  /** The homeserver does not take this session any more: nothing will come from it. */
  readonly onSessionEnded: (error: unknown) => void;
}

/** All that a connected client is at work with. */
export class Connection {
  readonly userId: string;
  readonly deviceId: string;
  readonly api: HomeserverApi;
  readonly rooms: Rooms;
  readonly encryptor: Encryptor;
  readonly outbox: Outbox;
  readonly messages: Messages;
  readonly roomActions: RoomActions;
  readonly supervisor: Supervisor;
  readonly #parts: ConnectionParts;
  readonly #trust: DeviceTrust;
  readonly #stopping = new AbortController();
  readonly #closing = new AbortController();
  readonly #firstSync = Promise.withResolvers<void>();
  #syncing: Promise<void> | undefined;

  constructor(parts: ConnectionParts) {
    const { api, session, options, onMode, onError, onBackup, stores } = parts;
    const { device } = session;
    const { logger } = options;
    const encryption = () => this.supervisor.encryption;
    this.#parts = parts;
    this.userId = device.userId;
    this.deviceId = device.deviceId;
    this.api = api;
    this.rooms = new Rooms({ api, encryption, userId: device.userId, logger, closing: this.#closing.signal });
    const [rooms, closing] = [this.rooms, this.#closing.signal];
    this.encryptor = new Encryptor({ api, rooms, encryption, logger, closing, shareKeysWith: options.shareKeysWith });
    this.outbox = new Outbox({ api, rooms, encryptor: this.encryptor, encryption, logger });
    this.messages = new Messages({ api, rooms, outbox: this.outbox, encryption });
    this.roomActions = new RoomActions({ api, rooms });
    this.#trust = new DeviceTrust({
      api,
      logger,
      onVerificationRequest: options.onVerificationRequest,
      setUpTrust: options.setUpTrust,
      sendToRoom: this.#sendToRoom,
      onBackupState: (state) => {
        onBackup(state);
        // What came while it could not be asked, and what an earlier process has left.
        if (state.state === "on") this.supervisor.running?.fetchHeld();
      },
      onError,
    });
    this.supervisor = new Supervisor({
      stores,
      device,
      atRest: { key: options.key, passphrase: options.passphrase, plaintext: options.plaintext },
      lease: { lease: options.lease, waitMs: options.waitMs, acceptRollback: options.acceptRollback },
      logger,
      probe: options.probe,
      running: this.#runningParts(),
      away: { userId: device.userId, pauseMs: options.awayPauseMs },
      onOpened: (opened) => session.opened(opened),
      onRunning: (running) => this.#onRunning(running),
      onMode,
    });
  }

  get mode(): ClientMode | undefined {
    return this.supervisor.mode;
  }

  /** Whom the device that runs trusts; `undefined` while none does. */
  get trust(): Trust | undefined {
    return this.#trust.current;
  }

  /**
   * Opens the device, or begins without, and syncs. Resolves when the first
   * response was taken in.
   *
   * @throws what `Supervisor.start` throws; `LOGIN_REFUSED`; the signal's reason
   */
  async start(signal: AbortSignal | undefined): Promise<void> {
    const { options, api, onError, onSessionEnded } = this.#parts;
    await this.supervisor.start(signal);
    await this.#parts.session.openedWithout();
    signal?.throwIfAborted();
    const loop = new SyncLoop({
      api,
      logger: options.logger,
      target: () => this.supervisor.target(),
      onSynced: () => this.#firstSync.resolve(),
      longPollMs: options.longPollMs,
      timelineLimit: options.timelineLimit,
    });
    this.#syncing = loop.run(this.#closing.signal).catch((error) => {
      this.#firstSync.reject(error);
      onError({ error, doing: "syncing" });
      this.supervisor.endSession(error);
      onSessionEnded(error);
    });
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await Promise.race([this.#firstSync.promise, aborted.promise]);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Hands nothing over any more: what handlers are not done with stays where it is. Before streams end, which take their handlers off. */
  stopDelivering(): void {
    this.#stopping.abort();
  }

  /** Stops all, and gives the lease back. Idempotent. */
  async close(): Promise<void> {
    await this.#stop();
    await this.supervisor.close();
  }

  /**
   * As {@link close}, and ends the session before: while its store is still open, and nothing is asked any more that would be refused.
   *
   * @throws what `ClientSession.logOut` throws: all is closed then too
   */
  async logOut(signal: AbortSignal | undefined): Promise<void> {
    await this.#stop();
    try {
      await this.#parts.session.logOut(signal);
    } finally {
      await this.supervisor.close();
    }
  }

  async #stop(): Promise<void> {
    this.stopDelivering();
    // While what it has to say still goes out.
    await this.#trust.close();
    this.#closing.abort();
    this.#firstSync.promise.catch(() => {});
    await this.#syncing;
    await this.outbox.close();
  }

  #runningParts(): ConstructorParameters<typeof Supervisor>[0]["running"] {
    const { api, options, handlers, onError, session } = this.#parts;
    const { logger } = options;
    const { device } = session;
    const handOvers = new HandOvers({
      handlers,
      userId: device.userId,
      logger,
      onRoomEvent: (event) => this.#onRoomEvent(event),
    });
    return {
      api,
      logger,
      rooms: this.rooms,
      requirement: options.decryptionTrust,
      deliverHistory: options.deliverHistory,
      acceptRollback: options.acceptRollback ?? false,
      gapLimit: options.gapLimit,
      concurrency: options.handlerConcurrency,
      attempts: options.handlerAttempts,
      maxHeld: options.maxHeldEvents,
      maxSetAside: options.maxSetAside,
      handOver: (delivery) => handOvers.begin(delivery),
      stopping: this.#stopping.signal,
      onUndecryptable: (event) => handlers.emit("undecryptable", event),
      onError,
      alsoWhenDone: async (eventId, encryption): Promise<readonly Change[]> =>
        this.outbox.forgetOwner(eventId, encryption),
      fetchKey: (key) => this.#fetchKey(key),
      sendToRoom: this.#sendToRoom,
      onToDevice: (messages) => this.#onToDevice(messages),
    };
  }

  #onRunning(running: Running): void {
    this.#trust.begin(running);
    this.#aside(running, "taking the outbox up again", () => this.outbox.resume());
  }

  /** Work beside everything else: its failure is told, unless the device is gone, and does it again when it is back. */
  #aside({ ended, encryption }: Running, doing: string, work: () => Promise<void>): void {
    work().catch((error) => {
      if (!ended.aborted && !encryption.deviceStore.failed.aborted) this.#parts.onError({ error, doing });
    });
  }

  readonly #sendToRoom: SendToRoom = async ({ roomId, type, transactionId }, content) => {
    const { eventId } = await this.outbox.send(roomId, type, content, { transactionId });
    return eventId;
  };

  async #onRoomEvent(event: IncomingEvent): Promise<void> {
    await this.#trust.current?.receiveRoomEvent(event);
  }

  #onToDevice(messages: readonly ProcessedToDevice[]): void {
    this.#trust.current?.receiveToDevice(messages).catch((error) => {
      if (!isKeyStoreError(error)) this.#parts.onError({ error, doing: "taking messages between devices in" });
    });
  }

  async #fetchKey({ roomId, sessionId }: RoomKey): Promise<boolean> {
    return (await this.#trust.current?.backup.fetchKey(roomId, sessionId)) ?? false;
  }
}
