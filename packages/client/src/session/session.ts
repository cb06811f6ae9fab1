import { inspect } from "node:util";
import * as v from "valibot";
import type { JsonObject } from "../http/homeserver-api.ts";

/** What a homeserver gives to those who log in, and when it has to be made new. Times are those of `Date.now()`. */
export interface Tokens {
  readonly accessToken: string;
  /** `undefined` where the homeserver gave none: the access token is then good until it is ended. */
  readonly refreshToken?: string | undefined;
  /** When the access token ends; `undefined` where it does not by itself. */
  readonly expiresAt?: number | undefined;
  /** When it is time for a new one: a tenth of its life before its end. */
  readonly refreshAt?: number | undefined;
}

/** Who is logged in where. */
export interface SessionDevice {
  /** The homeserver's base URL. */
  readonly homeserver: string;
  readonly userId: string;
  readonly deviceId: string;
}

const text = v.pipe(v.string(), v.nonEmpty());

const Stored = v.object({
  homeserver: text,
  userId: text,
  deviceId: text,
  accessToken: text,
  refreshToken: v.optional(text),
  expiresAt: v.optional(v.number()),
  refreshAt: v.optional(v.number()),
});

/**
 * A device that is logged in, with its tokens. They are read by name only: a
 * session that is logged, serialised or compared shows nothing of them.
 */
export class Session implements SessionDevice {
  readonly homeserver: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly #tokens: Tokens;

  constructor({ homeserver, userId, deviceId }: SessionDevice, tokens: Tokens) {
    this.homeserver = homeserver;
    this.userId = userId;
    this.deviceId = deviceId;
    this.#tokens = tokens;
  }

  get accessToken(): string {
    return this.#tokens.accessToken;
  }

  /** `undefined` where the homeserver gave none. */
  get refreshToken(): string | undefined {
    return this.#tokens.refreshToken;
  }

  /** When the access token ends, as `Date.now()` counts; `undefined` where it does not by itself. */
  get expiresAt(): number | undefined {
    return this.#tokens.expiresAt;
  }

  /** When it is time for a new access token, as `Date.now()` counts; `undefined` where there is no need. */
  get refreshAt(): number | undefined {
    return this.#tokens.refreshAt;
  }

  /** The same device with other tokens. */
  with(tokens: Tokens): Session {
    return new Session(this, tokens);
  }

  /** All of it, tokens included: for a sealed record and for nothing else. */
  toRecord(): JsonObject {
    const { homeserver, userId, deviceId } = this;
    return { homeserver, userId, deviceId, ...this.#tokens };
  }

  /** The session that {@link toRecord} gave; `undefined` for what it did not give. */
  static fromRecord(record: unknown): Session | undefined {
    const parsed = v.safeParse(Stored, record);
    if (!parsed.success) return undefined;
    const { homeserver, userId, deviceId, ...tokens } = parsed.output;
    return new Session({ homeserver, userId, deviceId }, tokens);
  }

  toJSON(): SessionDevice {
    const { homeserver, userId, deviceId } = this;
    return { homeserver, userId, deviceId };
  }

  toString(): string {
    return `Session of ${this.userId} on ${this.deviceId} at ${this.homeserver}`;
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
