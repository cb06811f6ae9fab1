import { asKeyStoreError, KeyStoreError, type KeyStoreErrorCode } from "./errors.ts";
import type { KeyStore, KeyStoreMode } from "./key-store.ts";
import { type Logger, silentLogger } from "./logger.ts";
import { Backoff } from "./timing.ts";

/** A store to try: one that is there, or how to make one, such as by importing an adapter that may not be installed. */
export type KeyStoreCandidate = KeyStore | LazyKeyStore;

export interface LazyKeyStore {
  /** What the engine is called in log lines: `"PostgreSQL"`. */
  readonly name: string;
  /**
   * Makes the store. A rejection is a reason to try the next one, except
   * `ERR_KEY_STORE_CONFIG`: bad configuration is loud.
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

export interface ResolveOptions {
  /** Default: `"fallback"`. */
  readonly onUnavailable?: OnUnavailable | undefined;
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

export interface ResolvedKeyStore {
  /** The first store that is ready; with `onUnavailable: "wait"`, the one asked for, ready or not. */
  readonly keyStore: KeyStore;
  /** What this is called; `"waiting"` where the store asked for is not there and nothing is used in its place. */
  readonly mode: KeyStoreMode | "waiting";
  /** Whether the store that was asked for, the first candidate, serves. */
  readonly keyStoreAvailable: boolean;
  /** Whether another store than the one asked for is used. */
  readonly degraded: boolean;
  /** The story: every candidate that was tried, in order. */
  readonly attempts: readonly ResolveAttempt[];
}

/**
 * Tries each candidate in order, each under its own time limit, and answers
 * with the first that is ready. The stores that are not used are closed.
 *
 * @throws `ERR_KEY_STORE_CONFIG` where a candidate is configured badly;
 * `ERR_KEY_STORE_UNAVAILABLE` where none is ready, or where the first is not
 * and `onUnavailable` is `"fail"`; `ERR_KEY_STORE_INVALID_ARGUMENT` without candidates
 */
export async function resolveKeyStore(
  candidates: readonly KeyStoreCandidate[],
  options: ResolveOptions = {},
): Promise<ResolvedKeyStore> {
  const { onUnavailable = "fallback", logger = silentLogger } = options;
  if (candidates.length === 0) {
    throw new KeyStoreError("ERR_KEY_STORE_INVALID_ARGUMENT", "there is no key store to choose from");
  }
  if (onUnavailable !== "fallback" && onUnavailable !== "wait" && onUnavailable !== "fail") {
    throw new KeyStoreError("ERR_KEY_STORE_CONFIG", 'onUnavailable must be "fallback", "wait" or "fail"');
  }
  const attempts: ResolveAttempt[] = [];
  for (const candidate of candidates) {
    const { keyStore, attempt } = await tryCandidate(candidate, logger);
    attempts.push(attempt);
    const preferred = attempts.length === 1;
    if (keyStore !== undefined && attempt.available) {
      logger.info(
        keyStore.mode === "ephemeral"
          ? "Running in development mode without key persistence"
          : `Using ${keyStore.name} store for ${keyStore.mode}`,
      );
      return { keyStore, mode: keyStore.mode, keyStoreAvailable: preferred, degraded: !preferred, attempts };
    }
    if (preferred && onUnavailable === "wait" && keyStore !== undefined) {
      logger.warn(`Waiting for the ${attempt.name} key store: encryption is off until it is there`);
      return { keyStore, mode: "waiting", keyStoreAvailable: false, degraded: false, attempts };
    }
    await keyStore?.close();
    if (preferred && onUnavailable !== "fallback") break;
  }
  const story = attempts.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `no key store is available (${story})`);
}

/**
 * Calls `init()` until it answers true, with growing pauses.
 *
 * @throws the signal's reason when it aborts; `ERR_KEY_STORE_CLOSED` when the store is closed meanwhile
 */
export async function waitUntilReady(
  keyStore: KeyStore,
  options: { readonly signal?: AbortSignal | undefined; readonly maxPauseMs?: number | undefined } = {},
): Promise<void> {
  const backoff = new Backoff(options.maxPauseMs ?? 30_000);
  options.signal?.throwIfAborted();
  while (!(await keyStore.init())) await backoff.pause(undefined, options.signal);
}

async function tryCandidate(
  candidate: KeyStoreCandidate,
  logger: Logger,
): Promise<{ keyStore: KeyStore | undefined; attempt: ResolveAttempt }> {
  const { name } = candidate;
  let keyStore: KeyStore;
  try {
    keyStore = "create" in candidate ? await candidate.create() : candidate;
  } catch (error) {
    const { code, message } = asKeyStoreError(error);
    if (code === "ERR_KEY_STORE_CONFIG") throw error;
    logger.warn(`${name} key store unavailable: ${message}`);
    return { keyStore: undefined, attempt: { name, available: false, reason: message, code } };
  }
  const available = await keyStore.init();
  const { status } = keyStore;
  const failed = status.state === "unavailable" ? status : undefined;
  return { keyStore, attempt: { name, available, reason: failed?.reason, code: failed?.code } };
}
