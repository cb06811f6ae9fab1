import { type Logger, messageOf } from "@holdfast/key-store-core";
import type { HomeserverApi } from "../http/homeserver-api.ts";
import { isHomeserverError } from "../http/homeserver-error.ts";
import type { TokenSource } from "../http/token-source.ts";
import { refresh } from "./requests.ts";
import type { Session } from "./session.ts";
import type { SessionStore } from "./session-store.ts";

/** What {@link SessionTokens} goes by. */
export interface SessionTokensOptions {
  /** An API that needs no token: for logins and refreshes. */
  readonly api: HomeserverApi;
  readonly session: Session;
  /** Whether the session is kept at all: one by access token is not, whoever starts the program has it. */
  readonly kept: boolean;
  /** Where the session is kept; `undefined` where there is no store yet. */
  readonly store: SessionStore | undefined;
  /** Logs the same device in again; `undefined` where nothing is there to do it with. */
  readonly logInAgain: (() => Promise<Session>) | undefined;
  readonly logger: Logger;
}

/**
 * The access token of a session, made new before it ends and when the
 * homeserver does not know it any more.
 *
 * A new pair of tokens is saved before it is used: with its first use the
 * homeserver ends the pair before it, and a process that died between would
 * have locked itself out. While the store fails, a session that could not be
 * had again goes on with what is saved, and requests reject with the store's
 * error once that has ended; one with a password goes on unsaved.
 */
export class SessionTokens implements TokenSource {
  readonly #api: HomeserverApi;
  readonly #logger: Logger;
  readonly #logInAgain: (() => Promise<Session>) | undefined;
  readonly #kept: boolean;
  #store: SessionStore | undefined;
  #session: Session;
  #renewing: { readonly softLogout: boolean; readonly token: Promise<string | undefined> } | undefined;
  /** The refresh token that the homeserver has refused: it is not asked about it again. */
  #spent: string | undefined;
  /** What the homeserver has given and the store has not taken: not used yet. */
  #unsaved: Session | undefined;

  constructor(options: SessionTokensOptions) {
    this.#api = options.api;
    this.#logger = options.logger;
    this.#logInAgain = options.logInAgain;
    this.#kept = options.kept;
    this.#store = options.store;
    this.#session = options.session;
  }

  /** Who is logged in, with the tokens of now. */
  get session(): Session {
    return this.#session;
  }

  /** Keeps the session in this store from now on, the one of now included. Does nothing for a session by access token. */
  async attach(store: SessionStore): Promise<void> {
    if (!this.#kept) return;
    await this.#settled();
    await store.save(this.#unsaved ?? this.#session);
    this.#store = store;
    if (this.#unsaved !== undefined) this.#session = this.#unsaved;
    this.#unsaved = undefined;
  }

  /** Forgets the session in its store: after a logout. */
  async forget(): Promise<void> {
    await this.#settled();
    await this.#store?.forget();
    this.#store = undefined;
  }

  async token(): Promise<string> {
    const { accessToken, refreshAt = Number.POSITIVE_INFINITY, expiresAt = Number.POSITIVE_INFINITY } = this.#session;
    if (Date.now() < refreshAt || this.#session.refreshToken === undefined) return accessToken;
    try {
      return (await this.renew(accessToken, false)) ?? accessToken;
    } catch (error) {
      // It was early: until its end the token of now serves.
      if (Date.now() >= expiresAt) throw error;
      this.#logger.warn(`the access token could not be made new yet: ${messageOf(error)}`);
      return accessToken;
    }
  }

  async renew(refused: string, softLogout: boolean): Promise<string | undefined> {
    // One that was begun early does not log in again; who was refused waits for it, and may have to.
    while (this.#renewing !== undefined && softLogout && !this.#renewing.softLogout) await this.#settled();
    if (refused !== this.#session.accessToken) return this.#session.accessToken;
    if (this.#renewing === undefined) {
      const token = this.#renew(softLogout).finally(() => {
        this.#renewing = undefined;
      });
      this.#renewing = { softLogout, token };
    }
    return this.#renewing.token;
  }

  async #settled(): Promise<void> {
    await this.#renewing?.token.catch(() => {});
  }

  async #renew(softLogout: boolean): Promise<string | undefined> {
    const next = this.#unsaved ?? (await this.#refreshed()) ?? (softLogout ? await this.#logInAgain?.() : undefined);
    return next === undefined ? undefined : this.#adopt(next);
  }

  /** The session with new tokens; `undefined` where there is no refresh token, or it is not good any more. */
  async #refreshed(): Promise<Session | undefined> {
    const { refreshToken } = this.#session;
    if (refreshToken === undefined || refreshToken === this.#spent) return undefined;
    try {
      return this.#session.with(await refresh(this.#api, refreshToken));
    } catch (error) {
      if (!isHomeserverError(error) || error.errcode === "M_LIMIT_EXCEEDED") throw error;
      this.#spent = refreshToken;
      this.#logger.warn(`${this.#api.baseUrl} refuses the refresh token of ${this.#session}: ${error.message}`);
      return undefined;
    }
  }

  async #adopt(next: Session): Promise<string> {
    this.#unsaved = next;
    try {
      await this.#store?.save(next);
    } catch (error) {
      if (this.#logInAgain === undefined) throw error;
      this.#logger.warn(`${next} goes on with tokens that are not saved: ${messageOf(error)}`);
    }
    this.#session = next;
    this.#unsaved = undefined;
    return next.accessToken;
  }
}
