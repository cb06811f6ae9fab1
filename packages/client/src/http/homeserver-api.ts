/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** An object of JSON. What a homeserver sent has this shape at most: its members are checked before use. */
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/** How a request is made. */
export interface RequestOptions {
  /** Parameters of the query; those that are `undefined` are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  /** JSON: an object, or text that is JSON already. */
  readonly body?: JsonObject | string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long one attempt may take, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * What is tried again: `"safe"`, what a server may be asked twice, after
   * failures of the network, HTTP 5xx and rate limits; `"limits"`, only what the
   * server says it has not done (rate limits); `"never"`. Default: `"safe"` for GET,
   * PUT and DELETE (Matrix's PUTs carry a transaction id or replace), `"limits"` for POST.
   */
  readonly retry?: "safe" | "limits" | "never" | undefined;
  /** Whether the access token is sent. Default: `true`. */
  readonly authenticated?: boolean | undefined;
}

/** The Client-Server API of one homeserver, as one device sees it. */
export interface HomeserverApi {
  /** Without a slash at its end. */
  readonly baseUrl: string;

  /**
   * Calls an endpoint below `/_matrix/client`, such as `/v3/sync`.
   *
   * @throws `HomeserverError` where the server refused (HTTP 4xx with an errcode): it has then done nothing;
   * `MatrixClientError` `HOMESERVER_UNREACHABLE` for everything else that is not an answer: whether
   * the server has done it is then open; the signal's reason
   */
  request(method: "GET" | "POST" | "PUT" | "DELETE", path: string, options?: RequestOptions): Promise<JsonObject>;

  /** Uploads bytes to the media repository, and answers with their `mxc://` URI. */
  upload(bytes: Uint8Array, options?: UploadOptions): Promise<string>;

  /**
   * Downloads what an `mxc://` URI names.
   *
   * @throws `MatrixClientError` `MALFORMED` for another URI, or for more than `maxBytes`
   */
  download(mxc: string, options?: DownloadOptions): Promise<Uint8Array>;
}

/** How bytes are uploaded. */
export interface UploadOptions {
  /** Default: `application/octet-stream`. */
  readonly contentType?: string | undefined;
  readonly filename?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How bytes are downloaded. */
export interface DownloadOptions {
  /** Default: 100 MiB. */
  readonly maxBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
