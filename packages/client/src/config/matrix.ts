import { inspect } from "node:util";
import { isKeyStoreError } from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import { parseHomeserver } from "../http/discovery.ts";
import type { Credentials } from "../session/open-session.ts";
import { type Environment, secret, text } from "./variables.ts";

/** Who the client is, as the environment says. Logged or serialised, it does not show token or password. */
export interface MatrixFromEnv {
  /** A URL, a server name, or the user's id, whose server it then is: what `discoverHomeserver` takes. */
  readonly homeserver: string;
  /** `undefined` where the access token says it. */
  readonly userId: string | undefined;
  /** `undefined` where the access token says it, or the store, or nobody yet. */
  readonly deviceId: string | undefined;
  readonly credentials: Credentials;
}

/** What the program says itself of who the client is: it comes before the variables. */
export type GivenIdentity = { readonly [Member in keyof MatrixFromEnv]?: MatrixFromEnv[Member] | undefined };

/**
 * Reads who the client is, where the program has not said it:
 *
 * | variable | meaning |
 * |---|---|
 * | `MATRIX_HOMESERVER` | a URL, or a server name to look up; default: the server of the user id |
 * | `MATRIX_USER_ID` | `@bot:example.org`; needed with a password |
 * | `MATRIX_ACCESS_TOKEN` or `MATRIX_PASSWORD`, each also as `…_FILE` | one of the two |
 * | `MATRIX_DEVICE_ID` | the device to be; default: that of the token, or the one that logged in before |
 *
 * @throws `MatrixClientError` `CONFIG` for a malformed or missing value; messages name variables, never their values
 */
export function matrixFromEnv(env: Environment = process.env, given: GivenIdentity = {}): MatrixFromEnv {
  const userId = given.userId ?? text(env, "MATRIX_USER_ID");
  const deviceId = given.deviceId ?? text(env, "MATRIX_DEVICE_ID");
  const homeserver = given.homeserver ?? text(env, "MATRIX_HOMESERVER") ?? userId;
  const credentials = given.credentials ?? credentialsOf(env);
  if (homeserver === undefined) misconfigured("set MATRIX_HOMESERVER to the homeserver's URL or server name");
  // What the program gives is checked, under its own name, with the other options.
  if (userId !== undefined && userId !== given.userId && !/^@[^:\s]*:[^\s]+$/.test(userId)) {
    misconfigured("MATRIX_USER_ID must be a full user id, such as @bot:example.org");
  }
  try {
    if (homeserver !== given.homeserver && homeserver !== given.userId) parseHomeserver(homeserver);
  } catch (cause) {
    const variable = homeserver === userId ? "MATRIX_USER_ID names no homeserver" : "MATRIX_HOMESERVER is malformed";
    misconfigured(`${variable}: it must be like https://matrix.example.org or example.org`, cause);
  }
  if (userId === undefined && credentials.type === "password" && credentials !== given.credentials) {
    misconfigured("MATRIX_PASSWORD needs a MATRIX_USER_ID, such as @bot:example.org");
  }
  return withoutSecretsInLogs({ homeserver, userId, deviceId, credentials });
}

function credentialsOf(env: Environment): Credentials {
  const accessToken = readSecret(env, "MATRIX_ACCESS_TOKEN");
  const password = readSecret(env, "MATRIX_PASSWORD");
  if (accessToken !== undefined && password !== undefined) {
    misconfigured("MATRIX_ACCESS_TOKEN and MATRIX_PASSWORD are both set: keep one");
  }
  if (password !== undefined) return { type: "password", password };
  if (accessToken === undefined) misconfigured("set MATRIX_ACCESS_TOKEN or MATRIX_PASSWORD (or either with _FILE)");
  if (!/^[\x21-\x7e]+$/.test(accessToken)) {
    misconfigured("MATRIX_ACCESS_TOKEN holds white space or other characters that no access token has");
  }
  return { type: "access-token", accessToken };
}

/** What is wrong here is wrong with the client, not with a key store. */
function readSecret(env: Environment, name: string): string | undefined {
  try {
    return secret(env, name);
  } catch (error) {
    if (isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")) misconfigured(error.message);
    throw error;
  }
}

function misconfigured(message: string, cause?: unknown): never {
  throw new MatrixClientError("CONFIG", message, cause === undefined ? {} : { cause });
}

function withoutSecretsInLogs(found: MatrixFromEnv): MatrixFromEnv {
  const { homeserver, userId, deviceId, credentials } = found;
  const shown = () => ({ homeserver, userId, deviceId, credentials: credentials.type });
  return Object.freeze(
    Object.defineProperties(found, { toJSON: { value: shown }, [inspect.custom]: { value: shown } }),
  );
}
