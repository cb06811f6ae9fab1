import { type Logger, silentLogger } from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import { parseBaseUrl } from "./base-url.ts";
import { type Attempt, exchange, type Fetch, objectIn } from "./exchange.ts";
import { unreachable, withoutQuery } from "./failure.ts";
import type { DownloadOptions, HomeserverApi, JsonObject, RequestOptions, UploadOptions } from "./homeserver-api.ts";
import { isHomeserverError } from "./homeserver-error.ts";
import { isMxc, parseMxc } from "./mxc.ts";
import { path } from "./path.ts";
import { RETRY_LIMITS, type RetryLimits, withRetries } from "./retry.ts";
import type { TokenSource } from "./token-source.ts";

/** Which homeserver is called, and how. */
export interface HomeserverApiOptions {
  /** `https://matrix.example.org`, as discovery answers with it. */
  readonly baseUrl: string;
  /** Where access tokens come from. Default: nowhere, requests carry none. */
  readonly tokens?: TokenSource | undefined;
  /** Default: says nothing. */
  readonly logger?: Logger | undefined;
  /** Default: Node's own. */
  readonly fetch?: Fetch | undefined;
  /** Default: `holdfast`. */
  readonly userAgent?: string | undefined;
  /** The longest answer of the API, in bytes. Default: 128 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** How long an upload or download may stand still, in milliseconds. Default: 60,000: a homeserver fetches from others first. */
  readonly mediaIdleMs?: number | undefined;
  readonly retry?: Partial<RetryLimits> | undefined;
}

const MIB = 1024 * 1024;

/**
 * The {@link HomeserverApi} of one homeserver over HTTP: Matrix Client-Server
 * API, v1.1 and later. Does no I/O before the first call; holds nothing open.
 *
 * @throws `MatrixClientError` `CONFIG` for a base URL that is none
 */
export function createHomeserverApi(options: HomeserverApiOptions): HomeserverApi {
  return new HttpHomeserverApi(options);
}

/** What requests have in common with uploads and downloads, and what they have not. */
interface Call extends Pick<Attempt, "method" | "body" | "limitMs" | "limits" | "redirect" | "maxBytes" | "signal"> {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tooLong?: () => Error;
  readonly retry: NonNullable<RequestOptions["retry"]>;
  readonly authenticated: boolean;
}

class HttpHomeserverApi implements HomeserverApi {
  readonly baseUrl: string;
  readonly #tokens: TokenSource | undefined;
  readonly #logger: Logger;
  readonly #fetch: Fetch;
  readonly #userAgent: string;
  readonly #maxResponseBytes: number;
  readonly #mediaIdleMs: number;
  readonly #limits: RetryLimits;

  constructor(options: HomeserverApiOptions) {
    this.baseUrl = parseBaseUrl(options.baseUrl);
    this.#tokens = options.tokens;
    this.#logger = options.logger ?? silentLogger;
    this.#fetch = options.fetch ?? fetch;
    this.#userAgent = options.userAgent ?? "holdfast";
    this.#maxResponseBytes = options.maxResponseBytes ?? 128 * MIB;
    this.#mediaIdleMs = options.mediaIdleMs ?? 60_000;
    this.#limits = { ...RETRY_LIMITS, ...options.retry };
  }

  async request(
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    options: RequestOptions = {},
  ): Promise<JsonObject> {
    const { query = {}, body, signal, timeoutMs = 30_000, authenticated = true } = options;
    const bodyless = method === "GET" || (method === "DELETE" && body === undefined);
    const call: Call = {
      method,
      url: `${this.baseUrl}/_matrix/client${path}${search(query)}`,
      headers: bodyless ? {} : { "content-type": "application/json" },
      body: bodyless ? undefined : typeof body === "string" ? body : JSON.stringify(body ?? {}),
      limitMs: timeoutMs,
      limits: "whole",
      // A redirected POST would arrive as a GET, and a redirected token with somebody else.
      redirect: "manual",
      maxBytes: this.#maxResponseBytes,
      signal,
      retry: options.retry ?? (method === "POST" ? "limits" : "safe"),
      authenticated,
    };
    return this.#authorised(call, objectIn);
  }

  async upload(bytes: Uint8Array, options: UploadOptions = {}): Promise<string> {
    const { contentType = "application/octet-stream", filename, signal } = options;
    const url = `${this.baseUrl}/_matrix/media/v3/upload${search({ filename })}`;
    const answer = await this.#authorised(
      {
        method: "POST",
        url,
        headers: { "content-type": contentType, "content-length": String(bytes.byteLength) },
        body: bytes,
        limitMs: this.#mediaIdleMs,
        limits: "idle",
        redirect: "manual",
        maxBytes: MIB,
        signal,
        // Whoever uploads twice has used more space, and nothing else.
        retry: "safe",
        authenticated: true,
      },
      objectIn,
    );
    if (isMxc(answer.content_uri)) return answer.content_uri;
    throw unreachable(`POST ${withoutQuery(url)}`, "it answers without the mxc:// URI of what was uploaded");
  }

  async download(mxc: string, options: DownloadOptions = {}): Promise<Uint8Array> {
    const { serverName, mediaId } = parseMxc(mxc);
    const at = path`/download/${serverName}/${mediaId}`;
    try {
      return await this.#media(`/_matrix/client/v1/media${at}`, true, options);
    } catch (error) {
      // Before v1.11 media needed no token, and had no such endpoint.
      if (!isHomeserverError(error, "M_UNRECOGNIZED") && !(isHomeserverError(error) && error.status === 404)) {
        throw error;
      }
      return this.#media(`/_matrix/media/v3${at}`, false, options).catch((older) => {
        throw isHomeserverError(older) ? error : older;
      });
    }
  }

  async #media(path: string, authenticated: boolean, options: DownloadOptions): Promise<Uint8Array> {
    const { maxBytes = 100 * MIB, signal } = options;
    const call: Call = {
      method: "GET",
      url: `${this.baseUrl}${path}`,
      headers: {},
      body: undefined,
      limitMs: this.#mediaIdleMs,
      limits: "idle",
      // To where the media is kept; fetch does not send the token to another origin.
      redirect: "follow",
      maxBytes,
      signal,
      retry: "safe",
      authenticated,
      tooLong: () => new MatrixClientError("MALFORMED", `the media at ${path} has more than ${maxBytes} bytes`),
    };
    return this.#authorised(call, (_, bytes) => bytes);
  }

  /** Calls with the access token there is, and once more with another where the homeserver does not know it. */
  async #authorised<T>(call: Call, read: (name: string, bytes: Uint8Array) => T): Promise<T> {
    const tokens = call.authenticated ? this.#tokens : undefined;
    const token = await orAborted(call.signal, tokens?.token());
    try {
      return await this.#attempts(call, token, read);
    } catch (error) {
      if (tokens === undefined || token === undefined || !isHomeserverError(error, "M_UNKNOWN_TOKEN")) throw error;
      const renewed = await orAborted(call.signal, tokens.renew(token, error.body.soft_logout === true));
      if (renewed === undefined || renewed === token) throw error;
      return this.#attempts(call, renewed, read);
    }
  }

  #attempts<T>(call: Call, token: string | undefined, read: (name: string, bytes: Uint8Array) => T): Promise<T> {
    const { retry, authenticated: _, ...rest } = call;
    const name = `${call.method} ${withoutQuery(call.url)}`;
    const headers = { ...call.headers, "user-agent": this.#userAgent, ...authorisation(token) };
    const tooLong = () => unreachable(name, `it answers with more than ${call.maxBytes} bytes`);
    const attempt: Attempt = { tooLong, ...rest, fetch: this.#fetch, name, headers };
    const once = async () => read(name, await exchange(attempt));
    return withRetries(once, { ...this.#limits, retry, signal: call.signal, logger: this.#logger });
  }
}

function authorisation(token: string | undefined): Record<string, string> {
  if (token === undefined) return {};
  // What fetch says of a header that it does not take repeats the header.
  if (/^[\x21-\x7e]+$/.test(token)) return { authorization: `Bearer ${token}` };
  throw new MatrixClientError("CONFIG", "the access token holds characters that no access token has: a line break?");
}

function search(query: NonNullable<RequestOptions["query"]>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.append(name, String(value));
  return parameters.size === 0 ? "" : `?${parameters}`;
}

/** What `promise` comes to, or the signal's reason: others may go on waiting for it. */
async function orAborted<T>(signal: AbortSignal | undefined, promise: Promise<T> | undefined): Promise<T | undefined> {
  signal?.throwIfAborted();
  if (promise === undefined || signal === undefined) return promise;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
