import type { Device } from "../state/accounts.ts";
import type { JsonObject } from "./json.ts";

/** One request, as handlers and middleware see it. */
export interface Call {
  readonly method: string;
  /** The pattern that matched, such as `/_matrix/client/v3/rooms/{roomId}/join`. */
  readonly route: string;
  /** The path as it was asked for, still percent-encoded. */
  readonly path: string;
  /** The decoded parts of the path that the pattern names. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The request's body; empty where there was none, and where the route takes bytes. */
  readonly body: JsonObject;
  /** The body as it came. */
  readonly content: Content;
  /** The access token that came with the request, whoever's it is. */
  readonly token: string | undefined;
  /** Whose access token came with the request; `undefined` without one, or with one that is not known. */
  readonly device: Device | undefined;
  /** Aborts when the client has gone away or the server closes. */
  readonly signal: AbortSignal;
}

/** A call whose access token was found good. */
export interface AuthenticatedCall extends Call {
  readonly device: Device;
}

/** Bytes, and what they are. */
export interface Content {
  /** The `content-type`; empty where none was told. */
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** An answer: a status and a JSON object, or other content in its stead. */
export interface Reply {
  readonly status: number;
  readonly body: JsonObject;
  /** Sent instead of the body. */
  readonly content?: Content | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** What becomes of a call: a reply, or a connection that closes without one, as when a network loses it. */
export type Outcome = Reply | "hang up";

/**
 * Stands between the wire and the handlers: the place for faults. It may look
 * at the call, wait, answer in the handler's stead, call `next` (never, once
 * or several times), and change its answer. Errors of the handlers reach it
 * as replies, not as exceptions.
 */
export type Middleware = (call: Call, next: () => Promise<Outcome>) => Promise<Outcome>;
