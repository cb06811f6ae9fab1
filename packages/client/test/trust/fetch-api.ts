import { MatrixClientError } from "../../src/errors.ts";
import type { HomeserverApi, JsonObject } from "../../src/http/homeserver-api.ts";
import { HomeserverError } from "../../src/http/homeserver-error.ts";

/** The bare Client-Server API over `fetch`: nothing is tried again, and there is no media repository. */
export function fetchApi(baseUrl: string, accessToken: string | undefined): HomeserverApi {
  const noMedia = (): never => {
    throw new Error("this API has no media repository");
  };
  return {
    baseUrl,
    async request(method, path, { query = {}, body, signal } = {}) {
      const url = new URL(`${baseUrl}/_matrix/client${path}`);
      for (const [name, value] of Object.entries(query)) {
        if (value !== undefined) url.searchParams.set(name, String(value));
      }
      const response = await fetch(url, {
        method,
        ...(accessToken === undefined ? {} : { headers: { authorization: `Bearer ${accessToken}` } }),
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      }).catch((cause) => {
        signal?.throwIfAborted();
        throw new MatrixClientError("HOMESERVER_UNREACHABLE", `${method} ${path} failed`, { cause });
      });
      const answer = (await response.json()) as JsonObject;
      if (response.ok) return answer;
      if (response.status < 500) throw new HomeserverError(response.status, answer);
      throw new MatrixClientError("HOMESERVER_UNREACHABLE", `${method} ${path} answered with HTTP ${response.status}`);
    },
    upload: noMedia,
    download: noMedia,
  };
}
