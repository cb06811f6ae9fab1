import { resolve } from "node:path";
import { KeyStoreError, type KeyStoreOptions, numberOption } from "@holdfast/key-store-core";
import type Database from "better-sqlite3";

/** What is needed of a better-sqlite3 database that the program opened itself. */
export interface SqliteDatabase {
  readonly name: string;
  readonly open: boolean;
  readonly memory: boolean;
  readonly readonly: boolean;
  prepare(sql: string): unknown;
  exec(sql: string): unknown;
  pragma(sql: string): unknown;
}

/**
 * - `"full"`: a commit that has resolved survives the loss of power
 *   (`synchronous=FULL`).
 * - `"normal"`: it survives the death of the process, and the last ones may be
 *   lost with the power (`synchronous=NORMAL`).
 */
export type SqliteDurability = "full" | "normal";

/** What a {@link SqliteKeyStore} takes: `path` or `database`, and not both. */
export interface SqliteKeyStoreOptions extends KeyStoreOptions {
  /**
   * The file, relative to the working directory at construction; `~` is not
   * expanded. What is missing of its directories is made by `init()` with mode
   * 0700, and the file with mode 0600.
   */
  readonly path?: string | undefined;
  /**
   * A better-sqlite3 database, open on a file that is empty or a key store. It
   * is not closed by the key store. Its `journal_mode`, `synchronous` and
   * `wal_autocheckpoint` are set by it.
   */
  readonly database?: SqliteDatabase | undefined;
  /** What a commit that has resolved survives. Default: `"full"`. */
  readonly durability?: SqliteDurability | undefined;
  /** How long a lease is in force after its last renewal, in milliseconds. Default: 15,000. */
  readonly leaseMs?: number | undefined;
  /**
   * Whether leases are renewed by a timer, three times per `leaseMs`, beside
   * the commits that renew them. The timer does not keep the process alive.
   * Default: `true`.
   */
  readonly heartbeat?: boolean | undefined;
  /**
   * How long one attempt waits for a file that another process has locked, in
   * milliseconds, before it counts as unavailable and is made again within the
   * time limits of the key store. Default: 1,000.
   */
  readonly busyTimeoutMs?: number | undefined;
  /**
   * Opens a file whose write-ahead log (`-wal`) was lost or damaged after an
   * unclean end, and its last commits with it: `init()` refuses that with
   * `ERR_KEY_STORE_ROLLBACK` otherwise, and keeps the log as it is. Only for
   * devices that are never used again.
   *
   * One thing looks the same though nothing is lost: a process was killed
   * while it moved the log into the file, and another program than a key store
   * (the `sqlite3` shell) was then the first to open the file, and closed it.
   * Who knows that it was so may set this once, and go on. Default: `false`.
   */
  readonly acceptMissingWal?: boolean | undefined;
}

/** The adapter's own options, complete. */
export interface SqliteConfig {
  /** Absolute; of an injected database, the name that it was opened by. */
  readonly path: string;
  readonly injected: Database.Database | undefined;
  readonly durability: SqliteDurability;
  readonly leaseMs: number;
  readonly heartbeat: boolean;
  readonly busyTimeoutMs: number;
  readonly acceptMissingWal: boolean;
}

/** A frozen copy with every default in its place; throws `ERR_KEY_STORE_CONFIG`. */
export function sqliteConfig(options: SqliteKeyStoreOptions): SqliteConfig {
  if (typeof options !== "object" || options === null) {
    throw new KeyStoreError("ERR_KEY_STORE_CONFIG", "SqliteKeyStore takes the path of a file, or options");
  }
  const { path, database, durability = "full", heartbeat = true, acceptMissingWal = false } = options;
  if ((path === undefined) === (database === undefined)) config("path or database", "given, one of the two");
  if (durability !== "full" && durability !== "normal") config("durability", '"full" or "normal"');
  if (typeof heartbeat !== "boolean") config("heartbeat", "a boolean");
  if (typeof acceptMissingWal !== "boolean") config("acceptMissingWal", "a boolean");
  return Object.freeze({
    ...(database === undefined ? fromPath(path) : fromDatabase(database)),
    durability,
    heartbeat,
    acceptMissingWal,
    leaseMs: numberOption("leaseMs", options.leaseMs, 15_000, 100, 24 * 60 * 60 * 1000),
    busyTimeoutMs: numberOption("busyTimeoutMs", options.busyTimeoutMs, 1_000, 0, 60_000),
  });
}

function fromPath(path: unknown): Pick<SqliteConfig, "path" | "injected"> {
  if (typeof path !== "string" || path === "") config("path", "a string that is not empty");
  // better-sqlite3 trims names and reads these two as databases that are gone with the process.
  if (path !== path.trim() || path.includes("\0")) config("path", "a path without white space at its ends");
  if (path === ":memory:" || path.startsWith("file:")) {
    config("path", "the path of a file (for a store in memory there is @holdfast/key-store-memory)");
  }
  return { path: resolve(path), injected: undefined };
}

function fromDatabase(database: unknown): Pick<SqliteConfig, "path" | "injected"> {
  const { name, memory, readonly, prepare, exec, pragma } = (database ?? {}) as Partial<Database.Database>;
  const methods = [prepare, exec, pragma].every((method) => typeof method === "function");
  if (typeof name !== "string" || !methods) config("database", "a better-sqlite3 database");
  if (memory !== false) config("database", "in a file (for a store in memory there is @holdfast/key-store-memory)");
  if (readonly !== false) config("database", "open for writing");
  return { path: name, injected: database as Database.Database };
}

function config(name: string, shape: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_CONFIG", `the key store option ${name} must be ${shape}`);
}
