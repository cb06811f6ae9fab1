import type { JsonObject } from "../http/json.ts";

/** A homeserver said no. */
export class HomeserverError extends Error {
  override readonly name = "HomeserverError";
  /** The HTTP status. */
  readonly status: number;
  /** Such as `M_FORBIDDEN`; empty where the answer had none. */
  readonly errcode: string;
  /** The whole answer. */
  readonly body: JsonObject;

  constructor(status: number, body: JsonObject) {
    const errcode = typeof body.errcode === "string" ? body.errcode : "";
    super(`${status} ${errcode}: ${typeof body.error === "string" ? body.error : JSON.stringify(body)}`);
    this.status = status;
    this.errcode = errcode;
    this.body = body;
  }
}

/** Who is logged in where. */
export interface Credentials {
  readonly homeserver: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string;
}

/** The bare Client-Server API of one device, on any homeserver: no retries, no state. */
export class HomeserverClient {
  readonly credentials: Credentials;

  constructor(credentials: Credentials) {
    this.credentials = Object.freeze({ ...credentials });
  }

  /** Makes a user on a homeserver that lets anybody, and logs a device in. */
  static async register(
    homeserver: string,
    username: string,
    options: { readonly deviceId?: string; readonly password?: string } = {},
  ): Promise<HomeserverClient> {
    const reply = await request(homeserver, undefined, "POST", "/register", {
      username,
      password: options.password ?? `password of ${username}`,
      auth: { type: "m.login.dummy" },
      ...(options.deviceId === undefined ? {} : { device_id: options.deviceId }),
    });
    return new HomeserverClient({
      homeserver,
      userId: String(reply.user_id),
      deviceId: String(reply.device_id),
      accessToken: String(reply.access_token),
    });
  }

  /** Logs a device of a user in. */
  static async login(homeserver: string, user: string, password: string, deviceId?: string): Promise<HomeserverClient> {
    const reply = await request(homeserver, undefined, "POST", "/login", {
      type: "m.login.password",
      identifier: { type: "m.id.user", user },
      password,
      ...(deviceId === undefined ? {} : { device_id: deviceId }),
    });
    return new HomeserverClient({
      homeserver,
      userId: String(reply.user_id),
      deviceId: String(reply.device_id),
      accessToken: String(reply.access_token),
    });
  }

  /**
   * Calls an endpoint below `/_matrix/client/v3`.
   *
   * @throws HomeserverError for every answer but 200
   */
  call(method: string, path: string, body?: JsonObject | string, signal?: AbortSignal): Promise<JsonObject> {
    return request(this.credentials.homeserver, this.credentials.accessToken, method, path, body, signal);
  }
}

/** A path below `/_matrix/client/v3` of these segments, each percent-encoded. */
export function path(...segments: readonly string[]): string {
  return segments.map((segment) => `/${encodeURIComponent(segment)}`).join("");
}

async function request(
  homeserver: string,
  accessToken: string | undefined,
  method: string,
  endpoint: string,
  body?: JsonObject | string,
  signal?: AbortSignal,
): Promise<JsonObject> {
  const response = await fetch(`${homeserver}/_matrix/client/v3${endpoint}`, {
    method,
    headers: accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const reply = (await response.json()) as JsonObject;
  if (!response.ok) throw new HomeserverError(response.status, reply);
  return reply;
}
