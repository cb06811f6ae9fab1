import { isMatrixClientError } from "../errors.ts";
import type { JsonObject } from "./homeserver-api.ts";

/** A homeserver said no, and has done nothing of what it was asked. */
export class HomeserverError extends Error {
  override readonly name = "HomeserverError";
  /** The HTTP status: 400 to 499. */
  readonly status: number;
  /** Such as `M_FORBIDDEN`; `M_UNKNOWN` where the answer had none. */
  readonly errcode: string;
  /** The whole answer, which may hold more than the errcode: a session of user-interactive auth, the current version of a backup. */
  readonly body: JsonObject;
  /** How long the homeserver wants to be left alone, in milliseconds; `undefined` where it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, body: JsonObject, retryAfterMs?: number) {
    const errcode = typeof body.errcode === "string" ? body.errcode : "M_UNKNOWN";
    super(`${errcode} (HTTP ${status}): ${typeof body.error === "string" ? body.error : "no reason given"}`);
    this.status = status;
    this.errcode = errcode;
    this.body = body;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether the homeserver said no, with this errcode if one is given. */
export function isHomeserverError(error: unknown, errcode?: string): error is HomeserverError {
  return error instanceof HomeserverError && (errcode === undefined || error.errcode === errcode);
}

/** The longest that anything waits because a homeserver asks for it, in milliseconds. */
const LONGEST_WAIT_MS = 300_000;

/**
 * How long to wait, in milliseconds, where the homeserver refused for having been
 * asked too often, which says nothing of what it was asked; `undefined` for every
 * other error.
 */
export function rateLimit(error: unknown): number | undefined {
  if (!isHomeserverError(error) || (error.status !== 429 && error.errcode !== "M_LIMIT_EXCEEDED")) return undefined;
  return Math.min(error.retryAfterMs ?? 1_000, LONGEST_WAIT_MS);
}

/** As {@link rateLimit}, also for a client's error that such a refusal is the cause of. */
export function askedToWait(error: unknown): number | undefined {
  return rateLimit(isMatrixClientError(error) ? error.cause : error);
}
