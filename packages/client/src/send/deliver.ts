import { isMatrixClientError, MatrixClientError } from "../errors.ts";
import type { HomeserverApi } from "../http/homeserver-api.ts";
import { askedToWait, isHomeserverError, rateLimit } from "../http/homeserver-error.ts";
import { path } from "../http/path.ts";
import type { OutgoingEvent } from "./outbox-record.ts";
import { sessionRefusal } from "./refusal.ts";

/**
 * Sends an event under its transaction id. Answers with its event id.
 *
 * @throws what `HomeserverApi.request` throws
 */
export async function deliver(api: HomeserverApi, event: OutgoingEvent, signal: AbortSignal): Promise<string> {
  const { roomId, type, transactionId, redacts, content } = event;
  const endpoint =
    redacts === undefined
      ? path`/v3/rooms/${roomId}/send/${type}/${transactionId}`
      : path`/v3/rooms/${roomId}/redact/${redacts}/${transactionId}`;
  const { event_id: eventId } = await api.request("PUT", endpoint, { body: content, signal });
  if (typeof eventId === "string") return eventId;
  throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver did not say what it calls the event");
}

/** What a failure to deliver means for the event. */
export type Failure =
  /** To be tried again, after this many milliseconds at least. */
  | { readonly kind: "again"; readonly atLeastMs: number }
  /** The homeserver does not want it. */
  | { readonly kind: "refused" }
  /** The homeserver does not know who asks, or the client closes: the event is for the next session. */
  | { readonly kind: "later" }
  /** It cannot be sent as things are here. */
  | { readonly kind: "impossible" };

/** What an error of an attempt to deliver means. */
export function failureOf(error: unknown): Failure {
  if (sessionRefusal(error) !== undefined || isMatrixClientError(error, "CLOSED")) return { kind: "later" };
  if (isHomeserverError(error)) {
    const atLeastMs = rateLimit(error);
    return atLeastMs === undefined ? { kind: "refused" } : { kind: "again", atLeastMs };
  }
  if (isMatrixClientError(error, "ROOM_ENCRYPTION_UNKNOWN")) {
    const { cause } = error;
    // The homeserver does not let us look: nor does it let us send.
    const final = isHomeserverError(cause) && cause.status === 403;
    return final ? failureOf(cause) : { kind: "again", atLeastMs: askedToWait(error) ?? 0 };
  }
  return isMatrixClientError(error, "HOMESERVER_UNREACHABLE")
    ? { kind: "again", atLeastMs: askedToWait(error) ?? 0 }
    : { kind: "impossible" };
}
