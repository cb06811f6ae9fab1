import { randomUUID } from "node:crypto";
import { MatrixError } from "../http/matrix-error.ts";
import type { Device } from "./accounts.ts";

/** What a login or a refresh gives. */
export interface Tokens {
  readonly accessToken: string;
  /** Only where the client asked for it; its access token then expires. */
  readonly refreshToken?: string | undefined;
  /** How long the access token is good for, in milliseconds. */
  readonly expiresInMs?: number | undefined;
}

interface AccessToken {
  readonly device: Device;
  /** By the system's clock, in milliseconds; infinite for one that stays good. */
  expiresAt: number;
  /** The refresh token that this one came from: its use ends that and what came before. */
  readonly from: RefreshToken | undefined;
}

interface RefreshToken {
  readonly token: string;
  readonly device: Device;
  /** The access token that was given together with this one. */
  accessToken: string;
  /** Whether what this token was exchanged for has been used: from then on it is no good. */
  spent: boolean;
  /** The refresh token that this one came from. */
  readonly from: RefreshToken | undefined;
}

/**
 * Access tokens, refresh tokens and login tokens. A refresh token may be
 * exchanged again and again until something that it was exchanged for is used:
 * a client that lost the answer asks once more.
 */
export class Sessions {
  readonly #lifetimeMs: number;
  readonly #access = new Map<string, AccessToken>();
  readonly #refresh = new Map<string, RefreshToken>();
  readonly #login = new Map<string, string>();

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** Tokens for a device that has just logged in; those that it had before end. */
  open(device: Device, refreshable: boolean): Tokens {
    this.end(device);
    return refreshable ? this.#pair(device, undefined) : { accessToken: this.#accessToken(device, undefined) };
  }

  /** Whose access token this is; `"expired"` for one that was somebody's, `undefined` for one that is nobody's. */
  authenticate(token: string): Device | "expired" | undefined {
    const known = this.#access.get(token);
    if (known === undefined) return undefined;
    if (known.expiresAt <= Date.now()) return "expired";
    if (known.from !== undefined) this.#spend(known.from);
    return known.device;
  }

  /**
   * Exchanges a refresh token.
   *
   * @throws MatrixError 401 `M_UNKNOWN_TOKEN` for one that is nobody's; 403 `M_FORBIDDEN` for one that was exchanged before, and what it gave was used
   */
  refresh(token: string): Tokens {
    const known = this.#refresh.get(token);
    if (known === undefined) throw new MatrixError(401, "M_UNKNOWN_TOKEN", "this refresh token is not known");
    if (known.spent) throw new MatrixError(403, "M_FORBIDDEN", "this refresh token is not good any more");
    if (known.from !== undefined) this.#spend(known.from);
    return this.#pair(known.device, known);
  }

  /** Lets the access tokens of a device expire now; its refresh tokens stay good. */
  expire(device: Device): void {
    for (const token of this.#access.values()) if (token.device === device) token.expiresAt = 0;
  }

  /** Ends every token of a device. */
  end(device: Device): void {
    for (const [token, { device: owner }] of this.#access) if (owner === device) this.#access.delete(token);
    for (const [token, { device: owner }] of this.#refresh) if (owner === device) this.#refresh.delete(token);
  }

  /** A token that logs its user in once, without a password. */
  loginToken(userId: string): string {
    const token = `login_${randomUUID()}`;
    this.#login.set(token, userId);
    return token;
  }

  /** Whom a login token logs in, which is then used up; `undefined` for one that is nobody's. */
  redeem(loginToken: string): string | undefined {
    const userId = this.#login.get(loginToken);
    this.#login.delete(loginToken);
    return userId;
  }

  #pair(device: Device, from: RefreshToken | undefined): Tokens {
    const refresh: RefreshToken = { token: `refresh_${randomUUID()}`, device, accessToken: "", spent: false, from };
    refresh.accessToken = this.#accessToken(device, from, Date.now() + this.#lifetimeMs);
    this.#refresh.set(refresh.token, refresh);
    return { accessToken: refresh.accessToken, refreshToken: refresh.token, expiresInMs: this.#lifetimeMs };
  }

  #accessToken(device: Device, from: RefreshToken | undefined, expiresAt = Number.POSITIVE_INFINITY): string {
    const token = `dev_${randomUUID()}`;
    this.#access.set(token, { device, expiresAt, from });
    return token;
  }

  #spend(token: RefreshToken): void {
    if (token.spent) return;
    token.spent = true;
    this.#access.delete(token.accessToken);
  }
}
