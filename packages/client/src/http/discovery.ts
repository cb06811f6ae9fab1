import { silentLogger } from "@holdfast/key-store-core";
import * as v from "valibot";
import { MatrixClientError } from "../errors.ts";
import { parseBaseUrl } from "./base-url.ts";
import { createHomeserverApi, type HomeserverApiOptions } from "./create-homeserver-api.ts";
import { exchange, objectIn } from "./exchange.ts";
import { Failure, unreachable } from "./failure.ts";
import { isHomeserverError } from "./homeserver-error.ts";
import { RETRY_LIMITS, withRetries } from "./retry.ts";

/** How discovery goes about its requests. */
export interface DiscoveryOptions extends Pick<HomeserverApiOptions, "fetch" | "logger" | "userAgent" | "retry"> {
  readonly signal?: AbortSignal | undefined;
}

/** A homeserver that answers. */
export interface DiscoveredHomeserver {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  /** The versions of the specification that it speaks, such as `v1.11`. */
  readonly versions: readonly string[];
}

const Versions = v.object({ versions: v.array(v.string()) });
const WellKnown = v.object({ "m.homeserver": v.object({ base_url: v.string() }) });

const SERVER_NAME = /^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/;
const WELL_KNOWN_BYTES = 64 * 1024;

/**
 * Finds a homeserver and looks whether it answers: Matrix Client-Server API,
 * "Server Discovery". A URL is taken as it is; for a server name, or a user id
 * with one, `https://HOST/.well-known/matrix/client` says where it is, and
 * where there is no such file (HTTP 404) it is `https://HOST`. Any other
 * failure is no answer: nobody knows then what the file says.
 *
 * @param of `https://matrix.example.org`, `example.org` or `@bot:example.org`
 * @throws `MatrixClientError` `CONFIG` for what is none of these, `HOMESERVER_UNREACHABLE`; the signal's reason
 */
export async function discoverHomeserver(of: string, options: DiscoveryOptions = {}): Promise<DiscoveredHomeserver> {
  const place = parseHomeserver(of);
  const baseUrl = "baseUrl" in place ? place.baseUrl : await wellKnown(place.serverName, options);
  const api = createHomeserverApi({ ...options, baseUrl });
  const answer = await api
    .request("GET", "/versions", { authenticated: false, signal: options.signal })
    .catch((error) => {
      throw isHomeserverError(error) ? noHomeserver(baseUrl, error) : error;
    });
  const parsed = v.safeParse(Versions, answer);
  if (!parsed.success) throw noHomeserver(baseUrl);
  const { versions } = parsed.output;
  if (!versions.some((version) => /^v1\.[1-9]/.test(version))) {
    const message = `the homeserver at ${baseUrl} does not speak Matrix v1.1 or later`;
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", message);
  }
  return { baseUrl, versions };
}

/**
 * How a homeserver was named: by its address, or by a server name.
 *
 * @throws `MatrixClientError` `CONFIG` for what is neither of them, nor a user id
 */
export function parseHomeserver(of: string): { readonly baseUrl: string } | { readonly serverName: string } {
  if (/^https?:\/\//i.test(of)) return { baseUrl: parseBaseUrl(of) };
  const serverName = of.startsWith("@") ? (/^@[^:]*:(.*)$/s.exec(of)?.[1] ?? "") : of;
  if (SERVER_NAME.test(serverName)) return { serverName };
  throw new MatrixClientError("CONFIG", "a homeserver is given by its URL, its server name, or a user's id");
}

async function wellKnown(serverName: string, options: DiscoveryOptions): Promise<string> {
  const { fetch = globalThis.fetch, logger = silentLogger, userAgent = "holdfast", retry, signal } = options;
  const host = serverName.replace(/:\d+$/, "");
  const url = `https://${host}/.well-known/matrix/client`;
  const name = `GET ${url}`;
  const attempt = async () => {
    try {
      const bytes = await exchange({
        fetch,
        method: "GET",
        url,
        name,
        headers: { "user-agent": userAgent },
        limitMs: 30_000,
        limits: "whole",
        redirect: "follow",
        maxBytes: WELL_KNOWN_BYTES,
        tooLong: () => unreachable(name, `it answers with more than ${WELL_KNOWN_BYTES} bytes`),
        signal,
      });
      return objectIn(name, bytes);
    } catch (error) {
      if (error instanceof Failure && error.status === 404) return undefined;
      throw error;
    }
  };
  const found = await withRetries(attempt, { ...RETRY_LIMITS, ...retry, retry: "safe", signal, logger });
  if (found === undefined) return `https://${host}`;
  const parsed = v.safeParse(WellKnown, found);
  if (!parsed.success) throw unreachable(name, "it names no m.homeserver with a base_url");
  try {
    return parseBaseUrl(parsed.output["m.homeserver"].base_url);
  } catch (cause) {
    throw unreachable(name, "the base_url that it names is no address", cause);
  }
}

function noHomeserver(baseUrl: string, cause?: unknown): MatrixClientError {
  const message = `at ${baseUrl} is no Matrix homeserver: /_matrix/client/versions does not say which versions it speaks`;
  return new MatrixClientError("HOMESERVER_UNREACHABLE", message, cause === undefined ? {} : { cause });
}
