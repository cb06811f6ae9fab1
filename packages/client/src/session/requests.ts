import * as v from "valibot";
import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { type HomeserverError, isHomeserverError } from "../http/homeserver-error.ts";
import { Session, type Tokens } from "./session.ts";

const text = v.pipe(v.string(), v.nonEmpty());
const Given = v.object({
  access_token: text,
  refresh_token: v.optional(text),
  expires_in_ms: v.optional(v.pipe(v.number(), v.minValue(0))),
});
const LoggedIn = v.object({ ...Given.entries, user_id: text, device_id: text });
const WhoAmI = v.object({ user_id: text, device_id: v.optional(text) });

/** How a device logs in, in the terms of `m.login.password` or `m.login.token`. */
export interface LoginRequest {
  readonly login:
    | { readonly type: "password"; readonly userId: string; readonly password: string }
    | { readonly type: "login-token"; readonly token: string };
  /** `undefined`: the homeserver chooses one. */
  readonly deviceId: string | undefined;
  /** What a new device is called; one that is known keeps its name. */
  readonly deviceDisplayName: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Logs in: `POST /v3/login`, asking for a refresh token.
 *
 * @throws `MatrixClientError` `LOGIN_REFUSED`, `HOMESERVER_UNREACHABLE`; the signal's reason
 */
export async function logIn(api: HomeserverApi, request: LoginRequest): Promise<Session> {
  const { login, deviceId, deviceDisplayName, signal } = request;
  const body = {
    ...(login.type === "password"
      ? {
          type: "m.login.password",
          identifier: { type: "m.id.user", user: login.userId },
          password: login.password,
        }
      : { type: "m.login.token", token: login.token }),
    device_id: deviceId,
    initial_device_display_name: deviceDisplayName,
    refresh_token: true,
  };
  // Twice as the same device is as good as once; a login token is good once only.
  const retry = login.type === "password" && deviceId !== undefined ? "safe" : "limits";
  const answer = await api
    .request("POST", "/v3/login", { body, authenticated: false, retry, signal })
    .catch((error) => refusedLogin(api, error));
  const given = parsed(api, "login", LoggedIn, answer);
  const device = { homeserver: api.baseUrl, userId: given.user_id, deviceId: given.device_id };
  return new Session(device, tokensOf(given));
}

/**
 * Makes the access token new: `POST /v3/refresh`. Until one of the new tokens
 * is used the old refresh token stays good, so that it may be asked again.
 *
 * @throws `HomeserverError` where the refresh token is not good any more; `MatrixClientError` `HOMESERVER_UNREACHABLE`
 */
export async function refresh(api: HomeserverApi, refreshToken: string): Promise<Tokens> {
  const body = { refresh_token: refreshToken };
  const answer = await api.request("POST", "/v3/refresh", { body, authenticated: false, retry: "safe" });
  const given = parsed(api, "refresh", Given, answer);
  return { refreshToken, ...tokensOf(given) };
}

/**
 * Asks whose access token the API sends: `GET /v3/account/whoami`.
 *
 * @throws `HomeserverError`, `MatrixClientError` `HOMESERVER_UNREACHABLE`; the signal's reason
 */
export async function whoAmI(
  api: HomeserverApi,
  signal?: AbortSignal,
): Promise<{ readonly userId: string; readonly deviceId: string | undefined }> {
  const answer = await api.request("GET", "/v3/account/whoami", { signal });
  const { user_id, device_id } = parsed(api, "whoami", WhoAmI, answer);
  return { userId: user_id, deviceId: device_id };
}

/** Throws what a failed login means: a rate limit passes, every other refusal stays. */
export function refusedLogin(api: HomeserverApi, error: unknown): never {
  if (!isHomeserverError(error)) throw error;
  throw isHomeserverError(error, "M_LIMIT_EXCEEDED") ? limited(api, error) : refused(api, error);
}

function refused(api: HomeserverApi, cause: HomeserverError): MatrixClientError {
  return new MatrixClientError("LOGIN_REFUSED", `${api.baseUrl} refuses the login: ${cause.message}`, { cause });
}

function limited(api: HomeserverApi, cause: HomeserverError): MatrixClientError {
  const message = `${api.baseUrl} takes no login now: ${cause.message}`;
  return new MatrixClientError("HOMESERVER_UNREACHABLE", message, { cause });
}

function tokensOf(given: v.InferOutput<typeof Given>): Tokens {
  const { access_token: accessToken, refresh_token: refreshToken, expires_in_ms: lifeMs } = given;
  const now = Date.now();
  return {
    accessToken,
    ...(refreshToken !== undefined && { refreshToken }),
    ...(lifeMs !== undefined && { expiresAt: now + lifeMs, refreshAt: now + lifeMs * 0.9 }),
  };
}

function parsed<const S extends v.GenericSchema>(
  api: HomeserverApi,
  what: string,
  schema: S,
  answer: JsonObject,
): v.InferOutput<S> {
  const result = v.safeParse(schema, answer);
  if (result.success) return result.output;
  // Not what was wrong with it: that would repeat what may be a token.
  const message = `the answer of ${api.baseUrl} to a ${what} is not one of Matrix`;
  throw new MatrixClientError("HOMESERVER_UNREACHABLE", message);
}
