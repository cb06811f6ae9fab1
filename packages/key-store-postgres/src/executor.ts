import type { Answer, Session } from "./connection.ts";
import { isPreparedStatementMixUp, keyStoreError } from "./errors.ts";
import type { PostgresPlan } from "./options.ts";
import type { Pool } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** Runs one statement of a transaction. */
export type Run = (statement: string, parameters?: readonly (string | null)[]) => Promise<Answer>;

/**
 * How long a server lets a transaction of ours wait for its next statement, in
 * milliseconds: the client sends it at once, so one that does not is gone.
 */
const SILENCE_MS = 10_000;

/** Runs statements and transactions on a pool, and turns what they fail with into `KeyStoreError`s. */
export class Executor {
  readonly #pool: Pool;
  readonly #sql: Statements;
  readonly #plan: PostgresPlan;
  #prepare: boolean;

  constructor(pool: Pool, sql: Statements, plan: PostgresPlan, prepare: boolean) {
    this.#pool = pool;
    this.#sql = sql;
    this.#plan = plan;
    this.#prepare = prepare;
  }

  /** One statement by itself, within the time limit of an operation, in one round trip where it is prepared. */
  async run(what: string, statement: string, parameters: readonly (string | null)[] = []): Promise<Answer> {
    return this.#use(what, undefined, (session) => this.#send(session, statement, parameters));
  }

  /** One statement that commits, within the time limit of a commit. `signal` gives its connection up. */
  async commit(statement: string, parameters: readonly (string | null)[], signal: AbortSignal): Promise<Answer> {
    const limitMs = this.#plan.commitTimeoutMs;
    return this.#use("a commit", signal, (session) => this.#send(session, statement, parameters, limitMs));
  }

  /**
   * Several statements in one transaction, rolled back where `work` rejects or
   * answers with `undefined`.
   */
  async transaction<T>(what: string, work: (run: Run) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#use(what, signal, async (session) => {
      const run: Run = (statement, parameters = []) =>
        this.#send(session, statement, parameters, this.#plan.commitTimeoutMs);
      await this.#send(session, this.#sql.begin, []);
      try {
        await run(this.#sql.transaction, [String(SILENCE_MS)]);
        const result = await work(run);
        await run(result === undefined ? this.#sql.rollback : this.#sql.commitTransaction);
        return result;
      } catch (error) {
        // Over a connection that is lost nothing can be said, and the server rolls back by itself.
        if (!session.broken) await this.#send(session, this.#sql.rollback, []).catch(() => {});
        throw error;
      }
    });
  }

  async #use<T>(what: string, signal: AbortSignal | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await this.#pool.use(async (session) => {
        const giveUp = (): void => session.abandon();
        if (signal?.aborted) signal.throwIfAborted();
        signal?.addEventListener("abort", giveUp, { once: true });
        try {
          return await work(session);
        } finally {
          signal?.removeEventListener("abort", giveUp);
        }
      });
    } catch (error) {
      // Poolers that pass a server's process id on are taken for the server itself, until this tells.
      if (isPreparedStatementMixUp(error) && this.#plan.preparedStatements === "auto") this.#prepare = false;
      throw keyStoreError(error, what);
    }
  }

  #send(
    session: Session,
    statement: string,
    parameters: readonly (string | null)[],
    limitMs: number = this.#plan.operationTimeoutMs,
  ): Promise<Answer> {
    return session.run(statement, parameters, { prepare: this.#prepare, limitMs });
  }
}
