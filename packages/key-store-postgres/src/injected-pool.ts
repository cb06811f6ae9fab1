import type postgres from "postgres";
import { type Answer, ask, late, type Session, type StatementOptions } from "./connection.ts";
import { leavesConnectionUsable } from "./errors.ts";
import type { LoanOptions, Pool } from "./pool.ts";
import { lost } from "./socket.ts";

/** How long a client of somebody else may take to give a connection, in milliseconds. */
const RESERVE_MS = 10_000;

/** The client of somebody else: sessions are reserved in it, and it is never ended. */
export class InjectedPool implements Pool {
  readonly #sql: postgres.Sql;

  constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  async use<T>(work: (session: Session) => Promise<T>, { patienceMs = RESERVE_MS }: LoanOptions = {}): Promise<T> {
    const reserved = await this.#reserve(Math.min(patienceMs, RESERVE_MS));
    const session = new ReservedSession(reserved);
    try {
      return await work(session);
    } finally {
      if (session.broken) void session.settled().then((isUsable) => isUsable && reserved.release());
      else reserved.release();
    }
  }

  async end(): Promise<void> {}

  /** A client whose connections all hang has none to give: who asks must not hang with them. */
  async #reserve(limitMs: number): Promise<postgres.ReservedSql> {
    const reserving = this.#sql.reserve();
    try {
      return await within(limitMs, reserving);
    } catch (error) {
      // What comes too late goes back.
      reserving.then((reserved) => reserved.release()).catch(() => {});
      throw error;
    }
  }
}

class ReservedSession implements Session {
  readonly #sql: postgres.ReservedSql;
  /** The statement that was sent last: where it had no answer in time, it still runs. */
  #last: Promise<unknown> = Promise.resolve();
  #inTransaction = false;
  broken = false;

  constructor(sql: postgres.ReservedSql) {
    this.#sql = sql;
  }

  /** The connection is somebody else's, and stays. */
  discard(): void {
    this.broken = true;
  }

  async run(
    text: string,
    parameters: readonly (string | null)[],
    { prepare, limitMs }: StatementOptions,
  ): Promise<Answer> {
    if (this.broken) throw lost();
    try {
      return await within(limitMs, this.#ask(text, parameters, prepare));
    } catch (error) {
      if (!leavesConnectionUsable(error)) this.broken = true;
      throw error;
    }
  }

  /**
   * Waits, for however long, until a session that was given up has nothing left
   * to do, and rolls back what it had begun. Answers whether it may be lent
   * again. Does not reject.
   */
  async settled(): Promise<boolean> {
    try {
      await this.#last.catch((error) => {
        // The client takes a lost connection back by itself; released, it would be lent again as if it were open.
        if (!leavesConnectionUsable(error)) throw error;
      });
      if (this.#inTransaction) await this.#ask("rollback", [], false);
      return true;
    } catch {
      return false;
    }
  }

  #ask(text: string, parameters: readonly (string | null)[], prepare: boolean): Promise<Answer> {
    const answer = ask(this.#sql, text, parameters, prepare).then((given) => {
      if (given.command === "BEGIN") this.#inTransaction = true;
      else if (given.command === "COMMIT" || given.command === "ROLLBACK") this.#inTransaction = false;
      return given;
    });
    this.#last = answer;
    return answer;
  }
}

/** Settles as `work` does, or rejects when `limitMs` milliseconds are over. */
async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late(limitMs)), limitMs);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
