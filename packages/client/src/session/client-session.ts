import type { DeviceRef, KeyStore, Logger, OpenDeviceOptions } from "@holdfast/key-store-core";
import type { OpenedEngine } from "../engine/open-olm-machine.ts";
import type { TokenSource } from "../http/token-source.ts";
import { findDevice, newDeviceId } from "./find-device.ts";
import { type Credentials, logOut, openSession } from "./open-session.ts";
import { sessionStore } from "./session-store.ts";
import type { SessionTokens } from "./session-tokens.ts";

/** Who logs in, and where. */
export interface ClientSessionOptions {
  readonly baseUrl: string;
  readonly credentials: Credentials;
  readonly userId: string | undefined;
  readonly deviceId: string | undefined;
  readonly deviceDisplayName: string;
  readonly logger: Logger;
  readonly lease: Pick<OpenDeviceOptions, "lease" | "waitMs">;
  readonly signal: AbortSignal;
}

/**
 * The session of a client: which device it is, before a store was opened for
 * it, and its tokens from then on, kept in the device's store where there is one.
 */
export class ClientSession implements TokenSource {
  readonly device: DeviceRef;
  readonly #options: ClientSessionOptions;
  #tokens: SessionTokens | undefined;

  private constructor(options: ClientSessionOptions, device: DeviceRef, tokens: SessionTokens | undefined) {
    this.#options = options;
    this.device = device;
    this.#tokens = tokens;
  }

  /**
   * Finds out which device the client is: that of its access token, the one it
   * is told to be, the one in the key store that was logged in before, or a new one.
   *
   * @param keyStores the stores that are there now, the one that is used first
   * @throws what `openSession` and `findDevice` throw
   */
  static async begin(options: ClientSessionOptions, keyStores: AsyncIterable<KeyStore>): Promise<ClientSession> {
    const { credentials, userId, lease, signal, logger } = options;
    if (credentials.type === "access-token" || userId === undefined) {
      const tokens = await openSession(options);
      const { userId, deviceId } = tokens.session;
      return new ClientSession(options, { userId, deviceId }, tokens);
    }
    if (options.deviceId !== undefined)
      return new ClientSession(options, { userId, deviceId: options.deviceId }, undefined);
    let known: DeviceRef | undefined;
    let looked = false;
    for await (const keyStore of keyStores) {
      looked = true;
      known = await findDevice(keyStore, userId, { ...lease, signal, logger });
      if (known !== undefined) break;
    }
    if (!looked) {
      logger.warn(
        "Logging in as a new device: which one was logged in before is in the key store, which is not there. A device id would say it",
      );
    }
    return new ClientSession(options, known ?? { userId, deviceId: newDeviceId() }, undefined);
  }

  /** Takes the session from the device's store, or logs in and keeps it there. Nothing is kept of an access token. */
  async opened({ engine, collection }: OpenedEngine): Promise<void> {
    if (this.#options.credentials.type === "access-token") return;
    const store = sessionStore(engine.deviceStore, collection);
    if (this.#tokens === undefined) this.#tokens = await openSession({ ...this.#options, ...this.device, store });
    else await this.#tokens.attach(store);
  }

  /** Logs in without a store, unless that was done. */
  async openedWithout(): Promise<void> {
    this.#tokens ??= await openSession({ ...this.#options, ...this.device });
  }

  /**
   * Ends the session: the homeserver forgets the device, and its store the tokens.
   *
   * @throws what `logOut` of a session throws
   */
  async logOut(signal?: AbortSignal): Promise<void> {
    const { baseUrl, logger } = this.#options;
    if (this.#tokens !== undefined) await logOut(this.#tokens, { baseUrl, logger }, signal);
  }

  async token(): Promise<string | undefined> {
    return this.#tokens?.token();
  }

  async renew(refused: string, softLogout: boolean): Promise<string | undefined> {
    return this.#tokens?.renew(refused, softLogout);
  }
}
