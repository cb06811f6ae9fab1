import type { Logger } from "./logger.ts";
import { safeLogger } from "./safe-logger.ts";
import { config } from "./validate.ts";
import type { RollbackWitness } from "./witness.ts";

/** What every key store takes, whatever its adapter. */
export interface KeyStoreOptions {
  /** What this program is called where leases are shown. Default: `""`. */
  readonly label?: string | undefined;
  /** Where log lines go. Default: nowhere. */
  readonly logger?: Logger | undefined;
  /** How long `init()` may take, in milliseconds. Default: 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long a read, or the opening of a device, may be retried, in milliseconds. Default: 10,000. */
  readonly operationTimeoutMs?: number | undefined;
  /** How long a commit may be retried before its device store is poisoned, in milliseconds. Default: 30,000. */
  readonly commitTimeoutMs?: number | undefined;
  /** The memory for the read cache of all devices together, in bytes; 0 for no cache. Default: 48 MiB. */
  readonly cacheBytes?: number | undefined;
  /**
   * Remembers outside the database what it acknowledged, so that an older copy
   * of it that was put back while no process ran is noticed. Default: none.
   */
  readonly witness?: RollbackWitness | undefined;
}

/** The options with their defaults. */
export type CompleteOptions = {
  readonly [K in Exclude<keyof KeyStoreOptions, "witness">]-?: NonNullable<KeyStoreOptions[K]>;
} & Pick<KeyStoreOptions, "witness">;

/** The longest delay that a timer takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** A frozen copy of the options with every default in its place; `ERR_KEY_STORE_CONFIG` for one out of range. */
export function keyStoreOptions(options: KeyStoreOptions): CompleteOptions {
  const { label = "", logger, witness } = options;
  if (typeof label !== "string" || !label.isWellFormed() || label.includes("\0")) config("label", "a string");
  if (witness !== undefined && (typeof witness?.recall !== "function" || typeof witness.remember !== "function")) {
    config("witness", "{ recall, remember }");
  }
  const timeout = (name: "connectTimeoutMs" | "operationTimeoutMs" | "commitTimeoutMs", fallback: number): number =>
    numberOption(name, options[name], fallback, 1, MAX_TIMEOUT_MS);
  return Object.freeze({
    witness,
    label: label.slice(0, 200),
    logger: safeLogger(logger),
    connectTimeoutMs: timeout("connectTimeoutMs", 5_000),
    operationTimeoutMs: timeout("operationTimeoutMs", 10_000),
    commitTimeoutMs: timeout("commitTimeoutMs", 30_000),
    cacheBytes: Math.floor(
      numberOption("cacheBytes", options.cacheBytes, 48 * 1024 * 1024, 0, Number.MAX_SAFE_INTEGER),
    ),
  });
}

/** An option that is a number between two bounds, or its default where it is missing. */
export function numberOption(name: string, value: unknown, fallback: number, least: number, most: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    config(name, `a number from ${least} to ${most}`);
  }
  return value;
}
