import { asKeyStoreError, KeyStoreError, type KeyStoreErrorCode } from "./errors.ts";
import type { KeyStore, KeyStoreMode } from "./key-store.ts";
import type { Logger } from "./logger.ts";
import { loggerOf, logUnavailable, safeLogger } from "./safe-logger.ts";
import { Backoff } from "./timing.ts";
import { checkOptions, config, invalid } from "./validate.ts";

/** A store to try: one that is there, or how to make one, such as by importing an adapter that may not be installed. */
export type KeyStoreCandidate = KeyStore | LazyKeyStore;

/** A store that is made when it is resolved. */
export interface LazyKeyStore {
  /** What the engine is called in log lines: `"PostgreSQL"`. */
  readonly name: string;
  /**
   * Makes the store, without connecting it. A rejection is a reason to try the
   * next one, except `ERR_KEY_STORE_CONFIG`: bad configuration is loud.
   */
  create(): Promise<KeyStore>;
}

/** What it means that the store asked for is not there. */
export type OnUnavailable =
  /** The next candidate is used in its place. */
  | "fallback"
  /** Nothing is: the caller goes on without, and asks again with {@link waitUntilReady}. */
  | "wait"
  /** The resolver throws. */
  | "fail";

/** How a store is resolved. */
export interface ResolveOptions {
  /** Default: `"fallback"`. */
  readonly onUnavailable?: OnUnavailable | undefined;
  /** Whether stores that were given ready-made, and not chosen, are closed like those that the resolver made. Default: `true`. */
  readonly closeGiven?: boolean | undefined;
  /** Where log lines go. Default: nowhere. */
  readonly logger?: Logger | undefined;
}

/** One candidate that was tried. */
export interface ResolveAttempt {
  readonly name: string;
  readonly available: boolean;
  /** Why not, for people; `undefined` where it is available. */
  readonly reason: string | undefined;
  readonly code: KeyStoreErrorCode | undefined;
}

/** A key store that was chosen, and how it came to be. */
export interface ResolvedKeyStore {
  /** The first store that is ready; with `onUnavailable: "wait"`, the one asked for, ready or not. */
  readonly keyStore: KeyStore;
  /**
   * What this is called now; `"waiting"` while the store asked for is not there
   * yet and nothing is used in its place.
   */
  readonly mode: KeyStoreMode | "waiting";
  /** Whether the store that was asked for, the first candidate, serves now. */
  readonly keyStoreAvailable: boolean;
  /** Whether another store than the one asked for is used. */
  readonly degraded: boolean;
  /** The story: every candidate that was tried, in order. */
  readonly attempts: readonly ResolveAttempt[];
}

/**
 * What says that a store is there and holds something that must not be passed
 * over: an empty store in its place would begin a second life for its devices.
 */
const DAMAGED: ReadonlySet<KeyStoreErrorCode | undefined> = new Set([
  "ERR_KEY_STORE_CORRUPT",
  "ERR_KEY_STORE_ROLLBACK",
  "ERR_KEY_STORE_SCHEMA_TOO_NEW",
] as const);

/** A logger that never throws, and the one that it is made of. */
type ResolverLog = Logger & { readonly given: Logger | undefined };

/** A candidate that was made, or the reason why it could not be. */
type Made = { readonly name: string } & (
  | { readonly keyStore: KeyStore }
  | { readonly keyStore?: undefined; readonly failure: KeyStoreError }
);

/**
 * Makes every candidate, so that bad configuration shows at once; then tries
 * each in order, under its own time limit, and answers with the first that is
 * ready. The others are closed.
 *
 * What only a server can refuse, such as a wrong password, counts as absence
 * and is logged as an error.
 *
 * @throws `ERR_KEY_STORE_CONFIG` for an option, or where the `create()` of a candidate throws it;
 * `ERR_KEY_STORE_CORRUPT`, `ERR_KEY_STORE_ROLLBACK` or
 * `ERR_KEY_STORE_SCHEMA_TOO_NEW` where one is there and cannot be used: damage is
 * not absence; `ERR_KEY_STORE_UNAVAILABLE` where none is ready, or where the
 * first is not and `onUnavailable` is `"fail"`, or is `"wait"` and the first
 * cannot even be made; `ERR_KEY_STORE_INVALID_ARGUMENT` without candidates
 */
export async function resolveKeyStore(
  candidates: readonly KeyStoreCandidate[],
  options: ResolveOptions = {},
): Promise<ResolvedKeyStore> {
  const { onUnavailable = "fallback", closeGiven = true, logger } = checkOptions(options);
  if (!Array.isArray(candidates) || candidates.length === 0 || !candidates.every(isCandidate)) {
    invalid("the candidates are an array of key stores, or { name, create }, and at least one");
  }
  if (onUnavailable !== "fallback" && onUnavailable !== "wait" && onUnavailable !== "fail") {
    config("onUnavailable", '"fallback", "wait" or "fail"');
  }
  const log = { given: logger, ...safeLogger(logger) };
  const made = await Promise.all(candidates.map(make));
  let chosen: KeyStore | undefined;
  try {
    const resolved = await choose(made, onUnavailable, log);
    chosen = resolved.keyStore;
    return resolved;
  } finally {
    const given = (index: number): boolean => "init" in (candidates[index] ?? {});
    const others = made.filter(({ keyStore }, index) => keyStore !== chosen && (closeGiven || !given(index)));
    await Promise.all(others.map(({ keyStore }) => keyStore?.close()));
  }
}

/**
 * Calls `init()` until it answers true, with growing pauses.
 *
 * @throws the signal's reason when it aborts; `ERR_KEY_STORE_CLOSED` when the
 * store is closed meanwhile; `ERR_KEY_STORE_CORRUPT`, `ERR_KEY_STORE_ROLLBACK` or
 * `ERR_KEY_STORE_SCHEMA_TOO_NEW`, which no waiting mends
 */
export async function waitUntilReady(
  keyStore: KeyStore,
  options: {
    readonly signal?: AbortSignal | undefined;
    /** The longest pause, in milliseconds. Default: 30,000. */
    readonly maxPauseMs?: number | undefined;
  } = {},
): Promise<void> {
  const backoff = new Backoff(options.maxPauseMs ?? 30_000);
  options.signal?.throwIfAborted();
  while (!(await keyStore.init())) {
    throwIfDamaged(keyStore);
    await backoff.pause(undefined, options.signal);
  }
}

function isCandidate(candidate: KeyStoreCandidate | null | undefined): boolean {
  return typeof candidate === "object" && candidate !== null && ("create" in candidate || "init" in candidate);
}

async function make(candidate: KeyStoreCandidate): Promise<Made> {
  const { name } = candidate;
  if (!("create" in candidate)) return { name, keyStore: candidate };
  try {
    return { name, keyStore: await candidate.create() };
  } catch (error) {
    const failure = asKeyStoreError(error);
    if (failure.code === "ERR_KEY_STORE_CONFIG") throw failure;
    return { name, failure };
  }
}

async function choose(
  made: readonly Made[],
  onUnavailable: OnUnavailable,
  logger: ResolverLog,
): Promise<ResolvedKeyStore> {
  const attempts: ResolveAttempt[] = [];
  for (const candidate of made) {
    const preferred = attempts.length === 0;
    const attempt = await attemptOn(candidate, logger);
    attempts.push(attempt);
    const { keyStore } = candidate;
    if (keyStore !== undefined && attempt.available) {
      const { mode, name } = keyStore;
      const persists = mode !== "ephemeral";
      logger.info(persists ? `Using ${name} store for ${mode}` : "Running in development mode without key persistence");
      return resolved(keyStore, !preferred, attempts);
    }
    if (preferred && onUnavailable === "wait" && keyStore !== undefined) {
      logger.warn(`Waiting for the ${candidate.name} key store: encryption is off until it is there`);
      return resolved(keyStore, false, attempts);
    }
    if (preferred && onUnavailable !== "fallback") break;
  }
  const story = attempts.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `no key store is available (${story})`);
}

async function attemptOn(candidate: Made, logger: ResolverLog): Promise<ResolveAttempt> {
  const { name, keyStore } = candidate;
  if (keyStore === undefined) {
    const { code, message } = candidate.failure;
    logUnavailable(logger, name, code, message);
    return { name, available: false, reason: message, code };
  }
  const available = await keyStore.init();
  const { status } = keyStore;
  const failed = status.state === "unavailable" ? status : undefined;
  // The reason must be heard, though the store was made without a logger.
  if (failed && loggerOf.get(keyStore) !== logger.given) logUnavailable(logger, name, failed.code, failed.reason);
  throwIfDamaged(keyStore);
  return { name, available, reason: failed?.reason, code: failed?.code };
}

function throwIfDamaged({ name, status }: KeyStore): void {
  if (status.state !== "unavailable" || !DAMAGED.has(status.code)) return;
  const message = `the ${name} key store is there and cannot be used: ${status.reason}`;
  throw new KeyStoreError(status.code, message);
}

/** What is asked of it later is answered by the store as it is then. */
function resolved(keyStore: KeyStore, degraded: boolean, attempts: readonly ResolveAttempt[]): ResolvedKeyStore {
  let wasReady = keyStore.status.state === "ready";
  return {
    keyStore,
    get mode() {
      wasReady ||= keyStore.status.state === "ready";
      return wasReady ? keyStore.mode : "waiting";
    },
    get keyStoreAvailable() {
      return !degraded && keyStore.status.state === "ready";
    },
    degraded,
    attempts,
  };
}
