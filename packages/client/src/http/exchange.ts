import { attemptLimit } from "./attempt-limit.ts";
import { Failure, failureOf, lost, unreachable } from "./failure.ts";
import type { JsonObject } from "./homeserver-api.ts";
import { objectOf } from "./json.ts";

/** The part of `fetch` that is used here. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One attempt at one request. */
export interface Attempt {
  readonly fetch: Fetch;
  readonly method: string;
  readonly url: string;
  /** What it is called in messages: the method, and the URL without its query. */
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  readonly limitMs: number;
  /** What the limit is for: all of the attempt, or each time in which nothing moves. */
  readonly limits: "whole" | "idle";
  readonly redirect: "follow" | "manual";
  readonly maxBytes: number;
  /** What to throw where the answer is longer. */
  readonly tooLong: () => Error;
  readonly signal: AbortSignal | undefined;
}

/** How much of a body is handed over at once: what counts as progress. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Sends a request once, and answers with an answer of HTTP 2xx.
 *
 * @throws {@link Failure} for all others; the signal's reason
 */
export async function exchange(attempt: Attempt): Promise<Uint8Array> {
  const { fetch, method, url, name, headers, body, limitMs, limits, redirect, signal } = attempt;
  signal?.throwIfAborted();
  using limit = attemptLimit(limitMs, signal);
  const progress = () => limits === "idle" && limit.progress();
  try {
    const sent = typeof body === "object" ? streamed(body, progress) : body;
    const init = { method, headers, redirect, signal: limit.signal, ...(sent !== undefined && { body: sent }) };
    const response = await fetch(url, typeof sent === "object" ? { ...init, ...HALF_DUPLEX } : init);
    progress();
    const bytes = await readBounded(response, attempt.maxBytes, progress);
    if (!response.ok) throw failureOf(name, response.status, parsed(bytes), response.headers);
    if (bytes === undefined) throw new Failure(attempt.tooLong(), "no");
    return bytes;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Failure) throw error;
    if (limit.late) throw lost(name, new Error(`nothing within ${limitMs} ms`, { cause: error }));
    throw lost(name, error);
  }
}

/** The object that an answer holds. */
export function objectIn(name: string, bytes: Uint8Array): JsonObject {
  const value = objectOf(parsed(bytes));
  if (value !== undefined) return value;
  throw new Failure(unreachable(name, "it answers with something that is no JSON object: is it a homeserver?"), "no");
}

// Needed for a body that is a stream, and not in all versions of the type.
const HALF_DUPLEX = { duplex: "half" } as RequestInit;

function streamed(bytes: Uint8Array, progress: () => void): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      progress();
      if (at >= bytes.byteLength) return controller.close();
      controller.enqueue(bytes.slice(at, at + CHUNK_BYTES));
      at += CHUNK_BYTES;
    },
  });
}

/** All that an answer holds; `undefined` where that is more than `maxBytes`. */
async function readBounded(
  { body }: Response,
  maxBytes: number,
  progress: () => void,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the rest.
  for await (const chunk of body ?? []) {
    progress();
    bytes += chunk.byteLength;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function parsed(bytes: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(bytes ?? []).toString("utf8"));
  } catch {
    return undefined;
  }
}
