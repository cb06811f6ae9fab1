import type Database from "better-sqlite3";
import { isBusy } from "./errors.ts";

/** A checkpoint is due when the log has this many pages: 4 MiB of them. */
const CHECKPOINT_PAGES = 1_000;

/** How often the mark is tried to set while another process writes; each attempt waits some milliseconds. */
const MARK_ATTEMPTS = 25;

/** What the log file is cut to when it is begun anew after a large commit. */
const SIZE_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * The write-ahead log of one connection, and the mark that tells its loss.
 *
 * SQLite takes a database without its `-wal` file for a complete one. If
 * somebody loses or leaves behind that file after an unclean end, commits that
 * were acknowledged would be gone without a word. So `store.wal_complete` is
 * arranged such that the database as SQLite reads it, with its log, always
 * says 1, while the main file alone says 0: at every checkpoint the mark goes
 * to 0, the log into the main file, and the mark back to 1 in a new log.
 * Whoever reads 0 where SQLite found nothing in the log reads a main file
 * without its log, or with one that SQLite cannot read: log-file.ts tells both
 * from a log that was begun anew and had got no further.
 *
 * The last connection to close, be it ours, the `sqlite3` shell's or that of a
 * process that just exits, moves the whole log into the main file, and the 1
 * with it. SQLite's automatic checkpoints would move the 1 and then go on with
 * the log: they are off, and this class makes them.
 */
export class WriteAheadLog {
  readonly #db: Database.Database;
  readonly #pages: Database.Statement<[], [busy: number, log: number, checkpointed: number]>;
  readonly #mark: Database.Statement<[mark: number, unless: number]>;
  readonly #isComplete: Database.Statement<[]>;
  /** The checkpoint that is to be made when the event loop turns. */
  #putOff: NodeJS.Immediate | undefined;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#pages = db.prepare<[], [number, number, number]>("pragma wal_checkpoint(noop)").raw();
    this.#mark = db.prepare("update store set wal_complete = ? where wal_complete <> ?");
    this.#isComplete = db.prepare("select wal_complete from store").pluck();
  }

  /** Takes the checkpoints over from SQLite. The connection must be in WAL mode. */
  configure(): void {
    this.#db.pragma("wal_autocheckpoint = 0");
    this.#db.pragma(`journal_size_limit = ${SIZE_LIMIT_BYTES}`);
  }

  /** False where the main file is without its log; and after a kill, or for a moment, in a checkpoint. */
  get isComplete(): boolean {
    return this.#isComplete.get() === 1;
  }

  /** The pages in the log. Not to be called in a transaction. */
  get pages(): number {
    return Math.max(0, this.#pages.get()?.[1] ?? 0);
  }

  /**
   * What belongs into every transaction that commits something: sets the mark
   * that a process which died within its checkpoint could not set any more.
   */
  restoreMark(): void {
    this.#mark.run(1, 1);
  }

  /**
   * What belongs behind every commit: where a checkpoint is due, makes it when
   * the commit has been answered. Not to be called in a transaction.
   */
  checkpointIfDue(): void {
    if (this.pages < CHECKPOINT_PAGES) return;
    // A program that commits again before the event loop turns may never let it turn: the log must not grow for it.
    if (this.#putOff !== undefined) this.checkpointIfPutOff();
    else this.#putOff = setImmediate(() => this.checkpointIfPutOff());
  }

  /** Makes the checkpoint that has been put off, if there is one. Does not throw. */
  checkpointIfPutOff(): void {
    if (this.#putOff === undefined) return;
    clearImmediate(this.#putOff);
    this.#putOff = undefined;
    // The owner of an injected database may have closed it meanwhile, or be in a transaction.
    if (!this.#db.open || this.#db.inTransaction) return;
    try {
      this.checkpoint();
    } catch {
      // The commits are durable all the same, and the log only longer: the next commit tries again.
    }
  }

  /**
   * Moves the log into the main file as far as readers allow, and leaves the
   * main file saying that there is more in the log.
   */
  checkpoint(): void {
    this.#mark.run(0, 0);
    try {
      this.#db.pragma("wal_checkpoint(passive)");
    } finally {
      this.#markComplete();
    }
  }

  /** Another process may have begun a transaction since: a little patience leaves the mark as it belongs. */
  #markComplete(): void {
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.restoreMark();
        return;
      } catch (error) {
        if (!isBusy(error) || attempt === MARK_ATTEMPTS) throw error;
      }
    }
  }
}
