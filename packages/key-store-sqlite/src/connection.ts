import { setTimeout as delay } from "node:timers/promises";
import { type EngineInfo, KeyStoreError } from "@holdfast/key-store-core";
import Database from "better-sqlite3";
import { whileBusy } from "./busy.ts";
import { assertNoTransaction } from "./errors.ts";
import { ensureFile, FileIdentity } from "./file.ts";
import { isStill, type LogFile, readLogFile } from "./log-file.ts";
import type { SqliteConfig } from "./options.ts";
import { checkIntegrity, isEmptyDatabase, isUpToDate, migrate, SCHEMA_VERSION } from "./schema.ts";
import { Statements } from "./statements.ts";
import { WriteAheadLog } from "./wal.ts";

/** How long SQLite itself waits for a lock, blocking the process; a longer wait is made of many of them. */
const BLOCKING_WAIT_MS = 4;

/** How often a log is found missing before it counts as lost: another process may just be opening the file. */
const LOOKS_FOR_WAL = 3;

/** The first SQLite whose log can be looked at without moving it: 3.51.0 takes the word "noop" for what it says. */
const OLDEST = { major: 3, minor: 51 } as const;

/** An open database that is checked, migrated and in WAL mode, and the SQL that runs on it. */
export class Connection {
  readonly statements: Statements;
  readonly engine: EngineInfo;
  readonly #db: Database.Database;
  readonly #wal: WriteAheadLog;
  readonly #config: SqliteConfig;
  /** `undefined` for an injected database, whose file is its owner's affair. */
  readonly #identity: FileIdentity | undefined;
  /** What an injected database had before. */
  readonly #autocheckpoint: unknown;

  private constructor(db: Database.Database, wal: WriteAheadLog, config: SqliteConfig) {
    this.#db = db;
    this.#wal = wal;
    this.#config = config;
    this.#identity = config.injected === undefined ? new FileIdentity(config.path) : undefined;
    this.#autocheckpoint = db.pragma("wal_autocheckpoint", { simple: true });
    wal.configure();
    db.pragma(`synchronous = ${config.durability}`);
    // What is deleted is overwritten, where that takes no write of its own.
    db.pragma("secure_delete = fast");
    if (process.platform === "darwin") db.pragma("fullfsync = 1");
    this.statements = new Statements(db);
    const version = this.statements.version.get() as string;
    const storeId = this.statements.storeId.get() as string;
    this.engine = Object.freeze({ version, schemaVersion: SCHEMA_VERSION, storeId });
  }

  /**
   * Opens the database, and makes it where there is none; waits for locks as
   * long as `busyTimeoutMs`. Rejects with a `KeyStoreError`, and the file as it
   * was, where it is not a key store that can be used.
   */
  static open(config: SqliteConfig, signal: AbortSignal): Promise<Connection> {
    const { injected } = config;
    const open = injected === undefined ? () => openFile(config) : () => Connection.prepareInjected(injected, config);
    return whileBusy(config, open, signal);
  }

  /**
   * Checks and prepares a database that was just opened; `undefined` where its
   * log seems to be missing, or not to be whole.
   *
   * @param log the log as it was before the database was opened
   */
  static async prepare(
    db: Database.Database,
    config: SqliteConfig,
    log: LogFile | undefined,
  ): Promise<Connection | undefined> {
    const { path } = config;
    const upToDate = isUpToDate(db, path);
    const wal = new WriteAheadLog(db);
    if (!config.acceptMissingWal && hasLost(wal, log, config)) return undefined;
    checkIntegrity(db, path);
    if (!upToDate) await migrate(db, path);
    if (db.pragma("journal_mode = wal", { simple: true }) !== "wal") {
      const message = `${path}: the file system does not let processes share memory, which SQLite's write-ahead log needs: choose a path on a local disk`;
      throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message);
    }
    const connection = new Connection(db, wal, config);
    wal.checkpoint();
    return connection;
  }

  static async prepareInjected(db: Database.Database, config: SqliteConfig): Promise<Connection> {
    assertNoTransaction(db);
    assertRecent(db);
    assertNumbers(db);
    if (isEmptyDatabase(db)) await migrate(db, config.path);
    const connection = await Connection.prepare(db, config, readLogFile(logOf(config)));
    if (connection === undefined) throw missingWal(config.path);
    return connection;
  }

  /** Whether the database still answers, and from the file that stands at its path. */
  check(): void {
    this.#identity?.check();
    this.statements.probe.get();
  }

  /** Runs `work`, which is synchronous, in a transaction that holds the write lock. Throws what SQLite throws. */
  write<T>(work: () => T): T {
    this.#identity?.check();
    assertNoTransaction(this.#db);
    const { begin, commit, rollback } = this.statements;
    begin.run();
    let result: T;
    try {
      result = work();
      this.#wal.restoreMark();
      commit.run();
    } catch (error) {
      // Some failures have rolled it back already.
      if (this.#db.inTransaction) rollback.run();
      throw error;
    }
    this.#checkpointIfDue();
    return result;
  }

  /** Closes the database, or leaves an injected one as its owner had it. Does not throw. */
  close(): void {
    this.#wal.checkpointIfPutOff();
    try {
      this.#wal.restoreMark();
    } catch {
      // The next one who opens the file finds its log and sets it.
    }
    if (this.#config.injected === undefined) this.#db.close();
    else if (this.#db.open) this.#db.pragma(`wal_autocheckpoint = ${this.#autocheckpoint}`);
  }

  #checkpointIfDue(): void {
    try {
      this.#wal.checkpointIfDue();
    } catch {
      // The commit before it is durable all the same: the next one looks again.
    }
  }
}

async function openFile(config: SqliteConfig): Promise<Connection> {
  const { path } = config;
  await ensureFile(path);
  for (let look = 1; look <= LOOKS_FOR_WAL; look += 1) {
    const log = readLogFile(logOf(config));
    const db = new Database(path, { fileMustExist: true, timeout: BLOCKING_WAIT_MS });
    let connection: Connection | undefined;
    let isRefused = false;
    try {
      connection = await Connection.prepare(db, config, log);
      if (connection !== undefined) return connection;
      isRefused = true;
    } finally {
      if (isRefused) closeAndKeepLog(db, path);
      else if (connection === undefined) db.close();
    }
    await delay(25);
  }
  throw missingWal(path);
}

/**
 * Whether commits that were acknowledged are in the log no more.
 *
 * SQLite reads a log as far as it is whole, and says nothing of the rest: a log
 * whose beginning is damaged counts as empty, which the mark tells, and one that
 * is damaged further on as shorter, which the commits behind that place tell.
 * One of them alone says nothing: a loss of power leaves it behind as well, in
 * parts, and it was not acknowledged then. Where commits are not waited for,
 * that may leave several of them.
 */
function hasLost(wal: WriteAheadLog, log: LogFile | undefined, config: SqliteConfig): boolean {
  const { pages } = wal;
  if (pages === 0 && !wal.isComplete) return log?.isFresh !== true;
  if (log === undefined || config.durability !== "full") return false;
  const unread = log.commits.filter((frame) => frame > pages);
  // Where another process has begun a new log since, this one was whole.
  return unread.length > 1 && isStill(log, logOf(config));
}

/** Closes a database whose log was refused. SQLite would delete the log with the last connection that may write. */
function closeAndKeepLog(db: Database.Database, path: string): void {
  let reader: Database.Database | undefined;
  try {
    reader = new Database(path, { readonly: true, fileMustExist: true });
    reader.prepare("select wal_complete from store").get();
  } finally {
    db.close();
    reader?.close();
  }
}

function logOf({ path }: SqliteConfig): string {
  return `${path}-wal`;
}

function missingWal(path: string): KeyStoreError {
  const message = `${path}: its write-ahead log (${path}-wal) is missing or damaged after an unclean end, and the last commits with it: put the log back beside the file; the devices in the file alone must not be used again (acceptMissingWal opens it all the same; nothing is lost only where a process was killed while it moved the log into the file and another program has opened and closed the file since, which looks the same)`;
  return new KeyStoreError("ERR_KEY_STORE_ROLLBACK", message);
}

/** An injected database may come from an older copy of the library than the one that this package depends on. */
function assertRecent(db: Database.Database): void {
  const version = db.prepare("select sqlite_version()").pluck().get() as string;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return;
  const message = `the database that was handed over is SQLite ${version}, and ${OLDEST.major}.${OLDEST.minor} or later is needed`;
  throw new KeyStoreError("ERR_KEY_STORE_CONFIG", message);
}

/** With numbers as bigints, nothing that is read would be what is looked for. */
function assertNumbers(db: Database.Database): void {
  if (typeof db.prepare("select 1").pluck().get() === "number") return;
  const message =
    "the database that was handed over has defaultSafeIntegers(true): hand one over that is left at false";
  throw new KeyStoreError("ERR_KEY_STORE_CONFIG", message);
}
