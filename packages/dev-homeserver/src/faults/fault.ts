import type { JsonObject } from "../http/json.ts";

/** What is to go wrong with a call. */
export type Fault =
  | { readonly kind: "drop" }
  | { readonly kind: "lose response" }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "error"; readonly status: number; readonly body: JsonObject; readonly headers: Headers }
  | { readonly kind: "duplicate" }
  | { readonly kind: "hold request" }
  | { readonly kind: "hold response" };

type Headers = Readonly<Record<string, string>>;

/** The connection closes before the request is handled: nothing has happened. */
export function drop(): Fault {
  return { kind: "drop" };
}

/** The request is handled, and the connection closes before the response: all has happened, and the client does not know. */
export function loseResponse(): Fault {
  return { kind: "lose response" };
}

/** The request is handled only after a while, in milliseconds. */
export function delay(ms: number): Fault {
  return { kind: "delay", ms };
}

/**
 * The request is not handled, and answered with an error.
 *
 * @param errcode such as `"M_UNKNOWN"`
 * @param more fields of the body besides `errcode` and `error`
 */
export function error(status: number, errcode: string, more: JsonObject = {}): Fault {
  return { kind: "error", status, body: { errcode, error: "a fault that was asked for", ...more }, headers: {} };
}

/** The request is answered with 429 `M_LIMIT_EXCEEDED`, in both ways in which a server says how long to wait. */
export function rateLimit(retryAfterMs: number): Fault {
  const body = { errcode: "M_LIMIT_EXCEEDED", error: "Too Many Requests", retry_after_ms: retryAfterMs };
  return { kind: "error", status: 429, body, headers: { "retry-after": String(Math.ceil(retryAfterMs / 1_000)) } };
}

/** The request is handled twice, one after the other, as when a proxy repeats it; the second answer is sent. */
export function duplicate(): Fault {
  return { kind: "duplicate" };
}

/** The request waits until it is released, and is handled then: others overtake it. */
export function holdRequest(): Fault {
  return { kind: "hold request" };
}

/** The request is handled, and its response waits until it is released. */
export function holdResponse(): Fault {
  return { kind: "hold response" };
}
