import { messageOf } from "@holdfast/key-store-core";
import { type ClientMode, encryptionUnavailable } from "./availability/client-mode.ts";
import { Stores } from "./availability/stores.ts";
import { type ClientStats, type ClientStatus, statsOf, statusOf } from "./client-status.ts";
import type { Environment } from "./config/variables.ts";
import { Connection } from "./connection.ts";
import type { DeviceIdentity } from "./crypto/identity-guard.ts";
import { EventStreams } from "./delivery/event-stream.ts";
import { type Handler, Handlers } from "./delivery/handlers.ts";
import { MatrixClientError } from "./errors.ts";
import type { IncomingEvent, MatrixClientEvents } from "./events.ts";
import { createHomeserverApi } from "./http/create-homeserver-api.ts";
import { discoverHomeserver } from "./http/discovery.ts";
import type { HomeserverApi, JsonObject } from "./http/homeserver-api.ts";
import {
  type CheckedOptions,
  checkOptions,
  type MatrixClientFromEnvOptions,
  type MatrixClientOptions,
  optionsFromEnv,
} from "./matrix-client-options.ts";
import type { CreateRoomOptions, JoinOptions, MembershipOptions } from "./rooms/room-actions.ts";
import type { MessageContent } from "./send/content.ts";
import type { Messages, OutgoingFile } from "./send/messages.ts";
import type { SendOptions } from "./send/outbox.ts";
import type { Sent } from "./send/outbox-item.ts";
import { ClientSession } from "./session/client-session.ts";
import type { Trust } from "./trust/trust.ts";

/**
 * A Matrix client for programs on Node.js whose keys survive. Register handlers
 * first, then {@link connect}.
 */
export class MatrixClient implements AsyncDisposable {
  readonly #options: CheckedOptions;
  readonly #handlers = new Handlers<MatrixClientEvents>();
  readonly #streams = new EventStreams<IncomingEvent>();
  readonly #ending = new AbortController();
  #stores: Stores | undefined;
  #connection: Connection | undefined;
  #connecting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws `CONFIG`; `ERR_KEY_STORE_CONFIG` for a malformed key or passphrase */
  constructor(options: MatrixClientOptions) {
    this.#options = checkOptions(options);
  }

  /**
   * A client of whom the environment says who it is and where its keys live; see
   * the table of variables in the README. An option given here comes before the
   * variable that says the same, and one that is `undefined` counts as not given.
   *
   * @throws `CONFIG`, `ERR_KEY_STORE_CONFIG` for a malformed or missing value
   */
  static fromEnv(env: Environment = process.env, options: MatrixClientFromEnvOptions = {}): MatrixClient {
    return new MatrixClient(optionsFromEnv(env, options));
  }

  /** What serves the keys; `undefined` before {@link connect}. */
  get mode(): ClientMode | undefined {
    return this.#connection?.mode;
  }

  /** Whether the key store that was asked for serves now. */
  get keyStoreAvailable(): boolean {
    return this.#connection?.supervisor.keyStoreAvailable ?? false;
  }

  get status(): ClientStatus {
    return statusOf(this.#stores, this.#connection);
  }

  /** `undefined` before it is known, in {@link connect}. */
  get userId(): string | undefined {
    return this.#connection?.userId;
  }

  /** `undefined` before it is known, in {@link connect}. */
  get deviceId(): string | undefined {
    return this.#connection?.deviceId;
  }

  /** The public keys of this device, in unpadded base64; `undefined` while encryption is not there. */
  get identity(): DeviceIdentity | undefined {
    return this.#connection?.supervisor.running?.encryption.identity;
  }

  /** The Client-Server API, as this device. @throws `CLOSED` before {@link connect} */
  get api(): HomeserverApi {
    return this.#connected().api;
  }

  /** Sends texts, files, reactions, edits, replies. @throws `CLOSED` before {@link connect} */
  get messages(): Messages {
    return this.#connected().messages;
  }

  /**
   * Cross-signing, secret storage, the backup of room keys, verification, and
   * room keys as files. To be asked for anew after the store was away.
   *
   * @throws `ENCRYPTION_UNAVAILABLE` while no device runs; `CLOSED` before {@link connect}
   */
  get trust(): Trust {
    const { trust, supervisor } = this.#connected();
    if (trust === undefined) throw encryptionUnavailable(supervisor.reason);
    return trust;
  }

  /**
   * Adds a handler; answers with how to take it off. What is delivered from the
   * homeserver counts as done when all its handlers have resolved, and comes
   * again, also to the next process, until then.
   */
  on<Name extends keyof MatrixClientEvents>(name: Name, handler: Handler<MatrixClientEvents[Name]>): () => void {
    return this.#handlers.on(name, handler);
  }

  /**
   * Messages one after the other, for `for await`: one counts as done when the
   * next is asked for. Begin before {@link connect}, so that none is missed.
   *
   * Where the loop is left, the message that it was at and those that waited for
   * it are not done: the next loop over `incoming()` begins with them, in this
   * process or in the next one. So do messages that come while there is neither a
   * loop nor a handler of `message`. The loop ends when the signal aborts, the
   * client closes, or the homeserver does not take its session any more.
   */
  incoming(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<IncomingEvent> {
    this.#handlers.otherwise("message", this.#streams.handler);
    const { signal } = options;
    const until = signal === undefined ? this.#ending.signal : AbortSignal.any([signal, this.#ending.signal]);
    return this.#streams.open((handler) => this.on("message", handler), until);
  }

  /**
   * Logs in, opens the device on its key store or begins without, and syncs.
   * Resolves when the first answer was taken in. A key store that is not there is
   * no failure: see {@link mode}.
   *
   * @throws `HOMESERVER_UNREACHABLE`, `LOGIN_REFUSED`, `CONFIG`; `ERR_KEY_STORE_UNAVAILABLE` with
   * `onUnavailable: "fail"`; `ERR_KEY_STORE_LEASE_HELD` where the device is looked for in the store and another process
   * has it for longer than `waitMs`; `ERR_KEY_STORE_WRONG_KEY`, `ERR_KEY_STORE_CONFIG`, `ERR_KEY_STORE_CORRUPT`,
   * `ERR_KEY_STORE_ROLLBACK`, `ERR_KEY_STORE_SCHEMA_TOO_NEW`; `CLOSED`; the signal's reason
   */
  connect(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#connecting ??= this.#connect(options.signal).catch(async (error) => {
      await this.close();
      throw error;
    });
    return this.#connecting;
  }

  /**
   * Sends an event to a room, encrypted where the room is. Resolves with its id
   * when the homeserver has it. It is durable before it is first sent: after a
   * crash it is sent again, under the same transaction id.
   *
   * @throws `REQUEST_REFUSED`, `LOGIN_REFUSED`, `ROOM_ENCRYPTION_UNKNOWN`, `ENCRYPTION_UNAVAILABLE`, `CLOSED`, the signal's reason
   */
  async send(roomId: string, type: string, content: JsonObject, options?: SendOptions): Promise<Sent> {
    return this.#connected().outbox.send(roomId, type, content, options);
  }

  /** As `messages.sendText`. @throws as {@link send} */
  async sendText(roomId: string, body: string, options?: SendOptions): Promise<Sent> {
    return this.messages.sendText(roomId, body, options);
  }

  /** As `messages.sendMessage`. @throws as {@link send} */
  async sendMessage(roomId: string, content: MessageContent, options?: SendOptions): Promise<Sent> {
    return this.messages.sendMessage(roomId, content, options);
  }

  /** As `messages.sendFile`. @throws as {@link send} */
  async sendFile(roomId: string, file: OutgoingFile, options?: SendOptions): Promise<Sent> {
    return this.messages.sendFile(roomId, file, options);
  }

  /** As `messages.react`. @throws as {@link send} */
  async react(roomId: string, eventId: string, key: string, options?: SendOptions): Promise<Sent> {
    return this.messages.react(roomId, eventId, key, options);
  }

  /** As `messages.redact`. @throws as {@link send} */
  async redact(roomId: string, eventId: string, reason?: string, options?: SendOptions): Promise<Sent> {
    return this.messages.redact(roomId, eventId, reason, options);
  }

  /** Makes a room, and answers with its id. @throws as `RoomActions` */
  async createRoom(options?: CreateRoomOptions): Promise<string> {
    return this.#connected().roomActions.createRoom(options);
  }

  /** Joins a room by its id or alias, and answers with its id. @throws as `RoomActions` */
  async join(roomIdOrAlias: string, options?: JoinOptions): Promise<string> {
    return this.#connected().roomActions.join(roomIdOrAlias, options);
  }

  /** Invites a user to a room. @throws as `RoomActions` */
  async invite(roomId: string, userId: string, options?: MembershipOptions): Promise<void> {
    return this.#connected().roomActions.invite(roomId, userId, options);
  }

  /** Leaves a room, or declines an invitation to it. @throws as `RoomActions` */
  async leave(roomId: string, options?: MembershipOptions): Promise<void> {
    return this.#connected().roomActions.leave(roomId, options);
  }

  /** Shares a room's key ahead of the first message, so that it goes out faster. @throws as {@link send} */
  async prepareToEncrypt(roomId: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#connected().encryptor.prepare(roomId, options.signal);
  }

  /**
   * Answers an event, once: while the event's handlers have not ended, the same
   * answer (the same `n`) of a handler that is called again is the one that was sent.
   *
   * @throws as {@link send}
   */
  async reply(to: IncomingEvent, answer: string | MessageContent, n = 0): Promise<Sent> {
    const content = typeof answer === "string" ? { msgtype: "m.text", body: answer } : answer;
    const options = { transactionId: `reply ${n} to ${to.eventId}`, owner: to.eventId };
    return this.messages.reply(to.roomId, to, content, options);
  }

  /**
   * Delivers what was set aside once more, after what its handlers failed at was mended.
   * Answers with how many deliveries that are.
   *
   * @throws `ENCRYPTION_UNAVAILABLE` while the store is away
   */
  async retrySetAside(): Promise<number> {
    const { supervisor } = this.#connected();
    if (supervisor.running === undefined) throw encryptionUnavailable(supervisor.reason);
    return supervisor.running.retrySetAside();
  }

  /** The figures of the key store, and what this client's device holds in Matrix's terms. Never throws. */
  async stats(): Promise<ClientStats> {
    return statsOf(this.#stores, this.#connection);
  }

  /** Stops syncing, ends sends with `CLOSED`, and gives the device's lease back. What was not done stays where it is. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Logs the device out for good and closes the client: the homeserver forgets
   * the device and its keys, the store its tokens. What the store holds besides
   * stays, room keys above all, which may be nowhere else: `keyStore.deleteDevice`
   * deletes it. The next login by password is a new device.
   *
   * @throws `HOMESERVER_UNREACHABLE`, the signal's reason: the device may still be logged in;
   * a `KeyStoreError` where its tokens could not be taken out of the store; `CLOSED` before
   * {@link connect} and after {@link close}. The client is closed all the same
   */
  async logOut({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const connection = this.#connected();
    if (this.#closing !== undefined) throw new MatrixClientError("CLOSED", "the client was closed");
    const ended = this.#close(() => connection.logOut(signal));
    this.#closing = ended.catch(() => {});
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #connect(given: AbortSignal | undefined): Promise<void> {
    const signal = given === undefined ? this.#ending.signal : AbortSignal.any([given, this.#ending.signal]);
    signal.throwIfAborted();
    const { logger, homeserver, keyStores: candidates, onUnavailable, credentials, userId, deviceId } = this.#options;
    const { deviceDisplayName, lease, waitMs } = this.#options;
    const { baseUrl } = await discoverHomeserver(homeserver, { logger, signal });
    this.#stores = new Stores({ candidates, onUnavailable, logger });
    await this.#stores.resolve();
    signal.throwIfAborted();
    const session = await ClientSession.begin(
      { baseUrl, credentials, userId, deviceId, deviceDisplayName, logger, lease: { lease, waitMs }, signal },
      this.#stores.ready(),
    );
    const api = createHomeserverApi({ baseUrl, logger, tokens: session });
    this.#connection = new Connection({
      options: this.#options,
      api,
      session,
      stores: this.#stores,
      handlers: this.#handlers,
      onMode: (event) => this.#tell("mode", event),
      onBackup: (state) => this.#tell("backup", state),
      onError: (event) => {
        logger.error(`While ${event.doing}: ${messageOf(event.error)}`);
        this.#tell("error", event);
      },
      onSessionEnded: (error) => this.#endStreams(error),
    });
    await this.#connection.start(signal);
  }

  async #close(end = () => this.#connection?.close()): Promise<void> {
    this.#endStreams(new MatrixClientError("CLOSED", "the client was closed"));
    try {
      await end();
    } finally {
      await this.#stores?.close();
    }
  }

  #endStreams(reason: unknown): void {
    // First: what waits for a stream that has ended would find no handler, and count as done.
    this.#connection?.stopDelivering();
    this.#ending.abort(reason);
  }

  /** What no handler takes is in the log; what a handler fails at is told there too, and goes no further. */
  #tell<Name extends "mode" | "backup" | "error">(name: Name, event: MatrixClientEvents[Name]): void {
    this.#handlers
      .emit(name, event)
      .catch((error) => this.#options.logger.error(`A handler of ${name} failed: ${messageOf(error)}`));
  }

  #connected(): Connection {
    if (this.#connection === undefined) throw new MatrixClientError("CLOSED", "the client is not connected");
    return this.#connection;
  }
}
