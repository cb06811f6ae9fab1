import { text } from "./codec.ts";
import type { Answer, Session } from "./connection.ts";
import { isPreparedStatementMixUp, keyStoreError } from "./errors.ts";
import type { PostgresPlan } from "./options.ts";
import type { LoanOptions, Pool } from "./pool.ts";
import type { ServerReport } from "./server.ts";
import type { Statements } from "./sql.ts";

/** Runs one statement of a transaction. */
export type Run = (statement: string, parameters?: readonly (string | null)[]) => Promise<Answer>;

/**
 * How long a server lets a transaction of ours wait for its next statement, in
 * milliseconds: the client sends it at once, so one that does not is gone.
 */
export const SILENCE_MS = "10000";

/** Runs statements and transactions on a pool, and turns what they fail with into `KeyStoreError`s. */
export class Executor {
  readonly #pool: Pool;
  readonly #sql: Statements;
  readonly #plan: PostgresPlan;
  readonly #tellsLineage: boolean;
  #prepare: boolean;

  constructor(pool: Pool, sql: Statements, plan: PostgresPlan, { preparedStatements, tellsLineage }: ServerReport) {
    this.#pool = pool;
    this.#sql = sql;
    this.#plan = plan;
    this.#prepare = preparedStatements;
    this.#tellsLineage = tellsLineage;
  }

  /** Which history of commits the server writes now; `undefined` where it does not tell. */
  async lineage(run: Run = (statement) => this.run("a look at the lineage", statement)): Promise<string | undefined> {
    if (!this.#tellsLineage) return undefined;
    const { rows } = await run(this.#sql.lineage);
    return rows[0] === undefined ? undefined : text(rows[0], 0);
  }

  /** One statement by itself, within the time limit of an operation, in one round trip where it is prepared. */
  async run(what: string, statement: string, parameters: readonly (string | null)[] = []): Promise<Answer> {
    return this.#use(what, (session) => this.#send(session, statement, parameters));
  }

  /** The same, for what is part of a commit: within the time limit of one attempt. */
  async commit(what: string, statement: string, parameters: readonly (string | null)[]): Promise<Answer> {
    const patienceMs = this.#attemptMs;
    return this.#use(what, (session) => this.#send(session, statement, parameters, patienceMs), { patienceMs });
  }

  /** One statement that must not wait for others, within `limitMs` milliseconds at most. */
  async urgently(
    what: string,
    statement: string,
    parameters: readonly (string | null)[],
    limitMs: number,
  ): Promise<Answer> {
    const limit = Math.min(limitMs, this.#plan.operationTimeoutMs);
    const loan = { isUrgent: true, patienceMs: limit };
    return this.#use(what, (session) => this.#send(session, statement, parameters, limit), loan);
  }

  /**
   * Several statements in one transaction, rolled back where `work` rejects or
   * answers with `undefined`. The first of them sets the limits of the rest.
   */
  async transaction<T>(what: string, work: (run: Run) => Promise<T>): Promise<T> {
    const patienceMs = this.#attemptMs;
    const transact = async (session: Session): Promise<T> => {
      const run: Run = (statement, parameters = []) => this.#send(session, statement, parameters, patienceMs);
      await this.#send(session, this.#sql.begin, []);
      try {
        const result = await work(run);
        await run(result === undefined ? this.#sql.rollback : this.#sql.commitTransaction);
        return result;
      } catch (error) {
        // Over a connection that is lost nothing can be said, and the server rolls back by itself.
        // A session that could not be rolled back is of no use to whoever would have it next.
        if (!session.broken) await this.#send(session, this.#sql.rollback, []).catch(() => session.discard());
        throw error;
      }
    };
    return this.#use(what, transact, { patienceMs });
  }

  /**
   * How long one attempt may take, in milliseconds, as the core sees it: a
   * connection that has gone silent is given up then, and makes room for the
   * look that follows.
   */
  get #attemptMs(): number {
    return this.#plan.commitTimeoutMs / 3;
  }

  async #use<T>(what: string, work: (session: Session) => Promise<T>, loan: LoanOptions = {}): Promise<T> {
    try {
      return await this.#pool.use(work, { patienceMs: this.#plan.operationTimeoutMs, ...loan });
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
