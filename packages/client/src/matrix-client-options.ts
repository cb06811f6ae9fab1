import type { KeyStoreCandidate, Logger, OnUnavailable, OpenDeviceOptions } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { type AtRest, atRestFrom, checkAtRest } from "./config/at-rest.ts";
import { checkShapes, config, OPTION_NAMES } from "./config/client-shapes.ts";
import { matrixFromEnv } from "./config/matrix.ts";
import { checkNames } from "./config/option-names.ts";
import { type Environment, onUnavailableFromEnv } from "./config/variables.ts";
import { type KeyStoreFromEnvOptions, keyStoreCandidates } from "./key-store-from-env.ts";
import type { ShareKeysWith } from "./send/key-sharing.ts";
import type { Credentials } from "./session/open-session.ts";
import type { SetUpOptions } from "./trust/set-up.ts";
import type { DecryptionTrust } from "./trust/trust-requirement.ts";
import type { VerificationPolicy } from "./trust/verification/verifications.ts";

/** Who the client is, where its keys live, and how it works. */
export interface MatrixClientOptions extends AtRest, Pick<OpenDeviceOptions, "lease" | "waitMs" | "acceptRollback"> {
  /** A base URL (`https://matrix.example.org`) or a server name (`example.org`), which is looked up. */
  readonly homeserver: string;
  /** Such as `@bot:example.org`. Needed for a password; with an access token it is only compared. */
  readonly userId?: string | undefined;
  /** Default: the device of the access token, the one that was logged in before, or a new one. */
  readonly deviceId?: string | undefined;
  /** One of these three says how to log in. */
  readonly accessToken?: string | undefined;
  readonly password?: string | undefined;
  /** A token that logs in once, by `m.login.token`. */
  readonly loginToken?: string | undefined;
  /** What the device is called where users see it. Default: `Holdfast`. */
  readonly deviceDisplayName?: string | undefined;

  /** Key stores, the one that is asked for first. Default: memory, which forgets. */
  readonly keyStores?: readonly KeyStoreCandidate[] | undefined;
  /** What it means that the first is not there. Default: `"fallback"`, to the next of them. */
  readonly onUnavailable?: OnUnavailable | undefined;
  /** Where log lines go. Default: nowhere. */
  readonly logger?: Logger | undefined;

  /** Whose events are decrypted at all. Default: `"untrusted"`, everybody's; what is known of the sender is told with each. */
  readonly decryptionTrust?: DecryptionTrust | undefined;
  /** Asked for each request for verification. Default: every one is ignored, and named in the log. */
  readonly onVerificationRequest?: VerificationPolicy | undefined;
  /** Which devices get the keys of rooms. Default: `"all-devices"`. */
  readonly shareKeysWith?: ShareKeysWith | undefined;
  /**
   * Sets cross-signing, secret storage and the backup of room keys up whenever
   * the device was opened, beside everything else: what the account has is used,
   * what it has not is made, nothing is replaced. Without cross-signing, clients
   * that leave unsigned devices out share no room keys with this one. Default:
   * what was set up before is taken up again.
   */
  readonly setUpTrust?: SetUpOptions | undefined;
  /** Whether what rooms hold at the very first sync is delivered. Default: `false`: it is history. */
  readonly deliverHistory?: boolean | undefined;
  /** How many rooms' handlers run at once; those of one room run in order. Default: 16. */
  readonly handlerConcurrency?: number | undefined;
  /** How often a delivery is tried before it is set aside. Default: 6. */
  readonly handlerAttempts?: number | undefined;
  /** How many events wait for keys that have not come. Default: 10,000; the oldest go first. */
  readonly maxHeldEvents?: number | undefined;
  /** How many deliveries that failed are kept. Default: 1,000; the oldest go first. */
  readonly maxSetAside?: number | undefined;
  /** How many events a sync brings of one room at most. Default: 50. */
  readonly timelineLimit?: number | undefined;
  /** How many events that a sync left out are fetched, for each room. Default: 1,000. */
  readonly gapLimit?: number | undefined;
  /** How long the homeserver may wait for news, in milliseconds. Default: 30,000. */
  readonly longPollMs?: number | undefined;
  /** The pause between syncs while the store is away, in milliseconds: each asks for the same again. Default: 3,000. */
  readonly awayPauseMs?: number | undefined;
  /** The first and the longest pause between attempts to reach a store that is away, in milliseconds. Default: 1,000 and 30,000. */
  readonly probe?: { readonly firstMs?: number; readonly longestMs?: number } | undefined;
}

/**
 * What `MatrixClient.fromEnv` takes beside the environment: every option of the
 * client, and those of the key stores that the environment names.
 */
export interface MatrixClientFromEnvOptions extends Partial<MatrixClientOptions>, StoreOptions {}

type StoreOptions = Omit<KeyStoreFromEnvOptions, keyof MatrixClientOptions>;

const silent = (): void => {};

/** Valid options, with their defaults. */
export type CheckedOptions = ReturnType<typeof checkOptions>;

/**
 * Options checked, copied and frozen.
 *
 * @throws `CONFIG`; `ERR_KEY_STORE_CONFIG` for a malformed key or passphrase
 */
export function checkOptions(options: MatrixClientOptions) {
  checkShapes(options);
  const { userId, accessToken, password, loginToken } = options;
  const credentials = credentialsOf(accessToken, password, loginToken);
  if (password !== undefined && userId === undefined) config("a password needs a userId");
  const keyStores = options.keyStores ?? [new MemoryKeyStore()];
  return Object.freeze({
    ...options,
    ...checkAtRest(options),
    credentials,
    keyStores: Object.freeze([...keyStores]),
    onUnavailable: options.onUnavailable ?? ("fallback" as const),
    logger: options.logger ?? { debug: silent, info: silent, warn: silent, error: silent },
    deviceDisplayName: options.deviceDisplayName ?? "Holdfast",
    decryptionTrust: options.decryptionTrust ?? ("untrusted" as const),
    shareKeysWith: options.shareKeysWith ?? ("all-devices" as const),
    setUpTrust: options.setUpTrust && Object.freeze({ ...options.setUpTrust }),
    probe: options.probe && Object.freeze({ ...options.probe }),
    deliverHistory: options.deliverHistory ?? false,
    handlerConcurrency: options.handlerConcurrency ?? 16,
    handlerAttempts: options.handlerAttempts ?? 6,
    maxHeldEvents: options.maxHeldEvents ?? 10_000,
    maxSetAside: options.maxSetAside ?? 1_000,
    timelineLimit: options.timelineLimit ?? 50,
    gapLimit: options.gapLimit ?? 1_000,
    longPollMs: options.longPollMs ?? 30_000,
    awayPauseMs: options.awayPauseMs ?? 3_000,
  });
}

function credentialsOf(...given: readonly (string | undefined)[]): Credentials {
  return credentialsIn(...given) ?? config("give one of accessToken, password and loginToken");
}

function credentialsIn(...[accessToken, password, token]: readonly (string | undefined)[]): Credentials | undefined {
  const ways = [accessToken, password, token].filter((way) => way !== undefined);
  if (ways.length === 0) return undefined;
  if (ways.length > 1) config("give one of accessToken, password and loginToken");
  if (ways.some((way) => typeof way !== "string" || way === "")) config("the token or password is empty");
  if (accessToken !== undefined) return { type: "access-token", accessToken };
  if (password !== undefined) return { type: "password", password };
  return { type: "login-token", token: token as string };
}

/**
 * The options that the environment gives. One that the program gives beside it
 * comes first; one that it gives as `undefined` is not given.
 *
 * @throws `CONFIG`, `ERR_KEY_STORE_CONFIG`
 */
export function optionsFromEnv(env: Environment, options: MatrixClientFromEnvOptions): MatrixClientOptions {
  if (typeof options !== "object" || options === null) config("fromEnv takes an object of options, or nothing");
  const { label, witness, connectTimeoutMs, operationTimeoutMs, commitTimeoutMs, cacheBytes, ...given } = options;
  const limits = { connectTimeoutMs, operationTimeoutMs, commitTimeoutMs, cacheBytes };
  const storeOptions: { [Name in keyof StoreOptions]-?: StoreOptions[Name] } = { label, witness, ...limits };
  checkNames(options, [...OPTION_NAMES, ...Object.keys(storeOptions)]);
  const { accessToken, password, loginToken, key, passphrase, plaintext, keyStores, logger } = given;
  const identity = matrixFromEnv(env, { ...given, credentials: credentialsIn(accessToken, password, loginToken) });
  const atRest = atRestFrom(env, { key, passphrase, plaintext });
  const onUnavailable = given.onUnavailable ?? onUnavailableFromEnv(env);
  if (keyStores !== undefined && Object.values(storeOptions).some((option) => option !== undefined)) {
    config(`${Object.keys(storeOptions).join(", ")} are for key stores of the environment, and keyStores is given`);
  }
  return {
    ...given,
    ...loginOf(identity.credentials),
    homeserver: identity.homeserver,
    userId: identity.userId,
    deviceId: identity.deviceId,
    key: atRest.key,
    passphrase: atRest.passphrase,
    plaintext: atRest.plaintext,
    keyStores: keyStores ?? keyStoreCandidates(env, { ...storeOptions, logger }, atRest),
    onUnavailable,
  };
}

function loginOf(credentials: Credentials): Pick<MatrixClientOptions, "accessToken" | "password" | "loginToken"> {
  const { type } = credentials;
  if (type === "access-token") return { accessToken: credentials.accessToken };
  return type === "password" ? { password: credentials.password } : { loginToken: credentials.token };
}
