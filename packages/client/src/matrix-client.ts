import type { ClientMode } from "./availability/client-mode.ts";
import { Stores } from "./availability/stores.ts";
import { encryptionUnavailable } from "./availability/supervisor.ts";
import { Connection } from "./connection.ts";
import type { DeviceIdentity } from "./crypto/identity-guard.ts";
import { EventStream } from "./delivery/event-stream.ts";
import { type Handler, Handlers } from "./delivery/handlers.ts";
import { MatrixClientError } from "./errors.ts";
import type { IncomingEvent, MatrixClientEvents } from "./events.ts";
import { createHomeserverApi } from "./http/create-homeserver-api.ts";
import { discoverHomeserver } from "./http/discovery.ts";
import { fixedToken } from "./http/token-source.ts";
import { type CheckedOptions, checkOptions, type MatrixClientOptions } from "./matrix-client-options.ts";
import type { SendOptions } from "./send/outbox.ts";
import type { Sent } from "./send/outbox-item.ts";

/**
 * A Matrix client for programs on Node.js whose keys survive. Register handlers
 * first, then {@link connect}.
 */
export class MatrixClient implements AsyncDisposable {
  readonly #options: CheckedOptions;
  readonly #handlers = new Handlers<MatrixClientEvents>();
  #connection: Connection | undefined;
  readonly #ending = new AbortController();
  #closing: Promise<void> | undefined;

  /** @throws `CONFIG`; `ERR_KEY_STORE_CONFIG` for a malformed key or passphrase */
  constructor(options: MatrixClientOptions) {
    this.#options = checkOptions(options);
  }

  /** What serves the keys; `undefined` before {@link connect}. */
  get mode(): ClientMode | undefined {
    return this.#connection?.mode;
  }

  get userId(): string | undefined {
    return this.#connection?.userId;
  }

  get deviceId(): string | undefined {
    return this.#connection?.deviceId;
  }

  on<Name extends keyof MatrixClientEvents>(name: Name, handler: Handler<MatrixClientEvents[Name]>): () => void {
    return this.#handlers.on(name, handler);
  }

  async connect(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { logger, homeserver, accessToken = "" } = this.#options;
    const { baseUrl } = await discoverHomeserver(homeserver, { logger, signal: options.signal });
    const api = createHomeserverApi({ baseUrl, logger, tokens: fixedToken(accessToken) });
    const who = await api.request("GET", "/v3/account/whoami", { signal: options.signal });
    const device = { userId: String(who.user_id), deviceId: String(who.device_id) };
    const { keyStores: candidates, onUnavailable } = this.#options;
    const stores = new Stores({ candidates, onUnavailable, logger });
    this.#connection = new Connection({
      options: this.#options,
      api,
      device,
      stores,
      handlers: this.#handlers,
      onOpened: async () => {},
      onMode: (event) =>
        void this.#handlers.emit("mode", event).catch((error) => this.#failed(error, "calling a handler of mode")),
      onError: (event) => void this.#handlers.emit("error", event).catch(() => {}),
    });
    await this.#connection.start(options.signal);
  }

  async send(roomId: string, type: string, content: IncomingEvent["content"], options?: SendOptions): Promise<Sent> {
    return this.#connected().outbox.send(roomId, type, content, options);
  }

  /** The public keys of this device, in unpadded base64; `undefined` while encryption is not there. */
  get identity(): DeviceIdentity | undefined {
    return this.#connection?.supervisor.running?.encryption.identity;
  }

  /**
   * Messages one after the other, for `for await`: one counts as done when the
   * next is asked for. Begin before {@link connect}, so that none is missed.
   */
  messages(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<IncomingEvent> {
    const stream: EventStream<IncomingEvent> = new EventStream(() => off());
    const off = this.on("message", stream.handler);
    const end = (): void => stream.end();
    options.signal?.addEventListener("abort", end, { once: true });
    this.#ending.signal.addEventListener("abort", end, { once: true });
    return stream;
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

  close(): Promise<void> {
    this.#ending.abort();
    this.#closing ??= this.#connection?.close() ?? Promise.resolve();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #failed(error: unknown, doing: string): void {
    this.#options.logger.error(`A handler failed: ${doing}: ${String(error)}`);
  }

  #connected(): Connection {
    if (this.#connection === undefined) throw new MatrixClientError("CLOSED", "the client is not connected");
    return this.#connection;
  }
}
