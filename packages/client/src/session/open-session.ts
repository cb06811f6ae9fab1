import { messageOf, silentLogger } from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import { createHomeserverApi, type HomeserverApiOptions } from "../http/create-homeserver-api.ts";
import { isHomeserverError } from "../http/homeserver-error.ts";
import { fixedToken } from "../http/token-source.ts";
import { logIn, refusedLogin, whoAmI } from "./requests.ts";
import { Session } from "./session.ts";
import type { SessionStore } from "./session-store.ts";
import { SessionTokens } from "./session-tokens.ts";

/** What shows a homeserver who one is. */
export type Credentials =
  | { readonly type: "access-token"; readonly accessToken: string }
  | { readonly type: "password"; readonly password: string }
  | { readonly type: "login-token"; readonly token: string };

/** Which session is opened. */
export interface OpenSessionOptions extends Omit<HomeserverApiOptions, "tokens"> {
  readonly credentials: Credentials;
  /** Whose session it must be; needed with a password. */
  readonly userId?: string | undefined;
  /** Which device it must be; needed with a password. An access token has its own, and a login token gives one. */
  readonly deviceId?: string | undefined;
  /** What a new device is called in lists of devices. Default: the homeserver's. */
  readonly deviceDisplayName?: string | undefined;
  /** The store of the device, where its session is kept. Without one it is kept nowhere; `attach` gives it one later. */
  readonly store?: SessionStore | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A session that the homeserver knows: the one in the store where there is
 * one, else a new one by the credentials. Nothing is kept of an access token,
 * which whoever starts the program has.
 *
 * @throws `MatrixClientError` `LOGIN_REFUSED` for a wrong password or token, `HOMESERVER_UNREACHABLE`,
 * `CONFIG` where the session is somebody else's or another device's than asked for; what the store throws; the signal's reason
 */
export async function openSession(options: OpenSessionOptions): Promise<SessionTokens> {
  const { credentials, store, signal } = options;
  const api = createHomeserverApi({ ...options, tokens: undefined });
  const logger = options.logger ?? silentLogger;
  if (credentials.type === "access-token") {
    const session = await ownerOf(options, credentials.accessToken);
    return new SessionTokens({ api, session, kept: false, store: undefined, logInAgain: undefined, logger });
  }
  const login = loginOf(options, credentials);
  const newSession = async (signal?: AbortSignal) => {
    const { deviceId, deviceDisplayName } = options;
    return checked(await logIn(api, { login, deviceId, deviceDisplayName, signal }), options);
  };
  const logInAgain = credentials.type === "password" ? () => newSession() : undefined;

  const stored = await store?.load();
  if (stored !== undefined && stored.homeserver === api.baseUrl && fits(stored, options)) {
    const tokens = new SessionTokens({ api, session: stored, kept: true, store, logInAgain, logger });
    if (await isKnown(tokens, options)) return tokens;
    logger.warn(`the homeserver does not know ${stored} any more: logging in again`);
  } else if (stored !== undefined) {
    logger.warn(`${stored} is another one than asked for: logging in`);
  }
  const { userId, deviceId } = options;
  if (store !== undefined && stored === undefined && userId !== undefined && deviceId !== undefined) {
    await store.begin({ homeserver: api.baseUrl, userId, deviceId });
  }
  const session = await newSession(signal);
  // The homeserver has given it, and a login token gives it once: a store that fails now does not take it away again.
  await store?.save(session).catch((error) => logger.warn(`${session} could not be saved: ${messageOf(error)}`));
  return new SessionTokens({ api, session, kept: true, store, logInAgain, logger });
}

/**
 * Ends a session: the homeserver forgets the device with its keys, and the store its tokens.
 *
 * @throws `MatrixClientError` `HOMESERVER_UNREACHABLE`, what the store throws, the signal's reason
 */
export async function logOut(
  tokens: SessionTokens,
  options: Omit<HomeserverApiOptions, "tokens">,
  signal?: AbortSignal,
): Promise<void> {
  const api = createHomeserverApi({ ...options, tokens });
  await api.request("POST", "/v3/logout", { signal }).catch((error) => {
    // It was ended before.
    if (!isHomeserverError(error, "M_UNKNOWN_TOKEN")) throw error;
  });
  await tokens.forget();
}

function loginOf(
  { userId, deviceId }: OpenSessionOptions,
  credentials: Exclude<Credentials, { type: "access-token" }>,
) {
  if (credentials.type === "login-token") return credentials;
  if (userId !== undefined && deviceId !== undefined) return { ...credentials, userId };
  throw new MatrixClientError("CONFIG", "a login by password needs a user id and a device id");
}

/** Whose an access token is, held against what was asked for. */
async function ownerOf(options: OpenSessionOptions, accessToken: string): Promise<Session> {
  const api = createHomeserverApi({ ...options, tokens: fixedToken(accessToken) });
  const owner = await whoAmI(api, options.signal).catch((error) => refusedLogin(api, error));
  const deviceId = owner.deviceId ?? options.deviceId;
  if (deviceId === undefined) {
    throw new MatrixClientError(
      "CONFIG",
      "the access token belongs to no device: say which one to be (MATRIX_DEVICE_ID)",
    );
  }
  const device = { homeserver: api.baseUrl, userId: owner.userId, deviceId };
  return checked(new Session(device, { accessToken }), options);
}

function fits(session: Session, { userId = session.userId, deviceId = session.deviceId }: OpenSessionOptions): boolean {
  return session.userId === userId && session.deviceId === deviceId;
}

function checked(session: Session, options: OpenSessionOptions): Session {
  if (fits(session, options)) return session;
  const { userId = session.userId, deviceId = session.deviceId } = options;
  const found = `the homeserver says that this login is ${session.userId} on ${session.deviceId}`;
  throw new MatrixClientError(
    "CONFIG",
    `${found}, and asked for is ${userId} on ${deviceId} (MATRIX_USER_ID, MATRIX_DEVICE_ID)`,
  );
}

/** Whether the homeserver knows a stored session still, made new where it must be. */
async function isKnown(tokens: SessionTokens, options: OpenSessionOptions): Promise<boolean> {
  try {
    await whoAmI(createHomeserverApi({ ...options, tokens }), options.signal);
    return true;
  } catch (error) {
    if (isHomeserverError(error, "M_UNKNOWN_TOKEN")) return false;
    return refusedLogin(createHomeserverApi({ ...options, tokens: undefined }), error);
  }
}
