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
  used: boolean;
}

interface RefreshToken {
  readonly token: string;
  readonly device: Device;
  /** The access token that was given together with this one. */
  readonly accessToken: string;
  /** The refresh token that this one was exchanged for. */
  next: RefreshToken | undefined;
}

/**
 * Access tokens, refresh tokens and login tokens, as Synapse has them: a
 * refresh token may be exchanged again and again until something that it was
 * exchanged for is used, so that a client that lost the answer asks once more;
 * what it gave before is then no good. The token before it ends at the first
 * exchange, with the access token that came with that.
 */
export class Sessions {
  readonly #lifetimeMs: number;
  readonly #access = new Map<string, AccessToken>();
  readonly #refresh = new Map<string, RefreshToken>();
  readonly #login = new Map<string, string>();

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** Tokens for a device that has just logged in, besides those that it may have. */
  open(device: Device, refreshable: boolean): Tokens {
    return refreshable ? this.#pair(device) : { accessToken: this.#accessToken(device) };
  }

  /** Whose access token this is; `"expired"` for one that was somebody's, `undefined` for one that is nobody's. */
  authenticate(token: string): Device | "expired" | undefined {
    const known = this.#access.get(token);
    if (known === undefined) return undefined;
    if (known.expiresAt <= Date.now()) return "expired";
    known.used = true;
    return known.device;
  }

  /**
   * Exchanges a refresh token.
   *
   * @throws MatrixError 401 `M_UNKNOWN_TOKEN` for one that is nobody's; 403 `M_FORBIDDEN` for one that was exchanged before, and what it gave was used
   */
  refresh(token: string): Tokens {
    const known = this.#refresh.get(token);
    if (known === undefined) throw new MatrixError(401, "M_UNKNOWN_TOKEN", "refresh token does not exist");
    const { next } = known;
    if (next !== undefined && (this.#access.get(next.accessToken)?.used === true || next.next !== undefined)) {
      throw new MatrixError(403, "M_FORBIDDEN", "refresh token isn't valid anymore");
    }
    if (next !== undefined) this.#forget(next);
    for (const before of this.#refresh.values()) if (before.next === known) this.#forget(before);
    const tokens = this.#pair(known.device);
    known.next = this.#refresh.get(tokens.refreshToken ?? "");
    return tokens;
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

  #pair(device: Device): Tokens {
    const token = `refresh_${randomUUID()}`;
    const accessToken = this.#accessToken(device, Date.now() + this.#lifetimeMs);
    this.#refresh.set(token, { token, device, accessToken, next: undefined });
    return { accessToken, refreshToken: token, expiresInMs: this.#lifetimeMs };
  }

  #accessToken(device: Device, expiresAt = Number.POSITIVE_INFINITY): string {
    const token = `dev_${randomUUID()}`;
    this.#access.set(token, { device, expiresAt, used: false });
    return token;
  }

  #forget({ token, accessToken }: RefreshToken): void {
    this.#refresh.delete(token);
    this.#access.delete(accessToken);
  }
}
