import { messageOf } from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import type { JsonObject } from "./homeserver-api.ts";
import { HomeserverError } from "./homeserver-error.ts";
import { objectOf } from "./json.ts";

/** An attempt that failed, and what may be done about it. */
export class Failure extends Error {
  /** What the caller is told if it stays so. */
  readonly error: Error;
  /**
   * Whether another attempt can help: after `"limited"` the server has done
   * nothing, after `"lost"` nobody knows; `"no"`, it would be the same again.
   */
  readonly again: "limited" | "lost" | "no";
  /** How long to wait first at least, in milliseconds. */
  readonly afterMs: number;
  /** The HTTP status; `undefined` where there was no answer. */
  readonly status: number | undefined;

  constructor(error: Error, again: Failure["again"], afterMs = 0, status?: number) {
    super(error.message);
    this.error = error;
    this.again = again;
    this.afterMs = afterMs;
    this.status = status;
  }
}

/** A request that is answered by nobody, or by something that is no Matrix homeserver. */
export function unreachable(request: string, why: string, cause?: unknown): MatrixClientError {
  const message = `${request} has no answer from the homeserver: ${why}`;
  return new MatrixClientError("HOMESERVER_UNREACHABLE", message, cause === undefined ? {} : { cause });
}

/** What to tell of an answer whose status is not one of success. */
export function failureOf(request: string, status: number, answer: unknown, headers: Headers): Failure {
  const body = objectOf(answer) ?? {};
  const waitMs = retryAfter(body, headers);
  if (status === 429) {
    const said = typeof body.errcode === "string" ? body : { errcode: "M_LIMIT_EXCEEDED", error: "too many requests" };
    return new Failure(new HomeserverError(status, said, waitMs), "limited", waitMs, status);
  }
  if (status >= 300 && status < 400) {
    const to = withoutQuery(headers.get("location") ?? "nowhere");
    return new Failure(
      unreachable(request, `it redirects to ${to}: is that the homeserver's address?`),
      "no",
      0,
      status,
    );
  }
  // Something between here and the homeserver may answer with JSON too: an errcode is Matrix's word, and so are flows.
  const matrix = typeof body.errcode === "string" || (status === 401 && Array.isArray(body.flows));
  if (status >= 400 && status < 500 && matrix)
    return new Failure(new HomeserverError(status, body, waitMs), "no", 0, status);
  const said = matrix ? `: ${String(body.errcode)}` : "";
  const again = status >= 500 || status === 408 ? "lost" : "no";
  return new Failure(unreachable(request, `HTTP ${status}${said}`), again, waitMs, status);
}

/** What to tell of an attempt that ended without an answer. */
export function lost(request: string, error: unknown): Failure {
  // fetch says "fetch failed", and the reason lies behind it.
  const reason = error instanceof TypeError && error.cause !== undefined ? error.cause : error;
  return new Failure(unreachable(request, messageOf(reason), error), "lost");
}

/** A URL for messages: the query may hold secrets, and so may what stands before the host. */
export function withoutQuery(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? url.replace(/[?#].*$/s, "") : `${parsed.origin}${parsed.pathname}`;
}

function retryAfter(body: JsonObject, headers: Headers): number | undefined {
  if (typeof body.retry_after_ms === "number" && body.retry_after_ms >= 0) return body.retry_after_ms;
  const header = headers.get("retry-after");
  if (header === null) return undefined;
  // Seconds, or a date (RFC 9110, 10.2.3).
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}
