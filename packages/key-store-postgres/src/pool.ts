import type postgres from "postgres";
import { type Answer, ask, Connection, type Login, late, type Session, type StatementOptions } from "./connection.ts";
import { leavesConnectionUsable } from "./errors.ts";
import { type Address, lost, openSocket, type TlsPlan } from "./socket.ts";

/** Sessions with one server, lent to one user at a time. */
export interface Pool {
  /** Lends a session for as long as `work` takes. */
  use<T>(work: (session: Session) => Promise<T>, options?: LoanOptions): Promise<T>;
  /** Gives every session up. Does not throw. */
  end(): Promise<void>;
}

export interface LoanOptions {
  /** What is urgent need not wait for others: one connection more is opened for it. Default: `false`. */
  readonly isUrgent?: boolean | undefined;
  /** How long to wait for others, in milliseconds: who asked has given up then. Default: as long as it takes. */
  readonly patienceMs?: number | undefined;
}

/** Somebody who waits for a connection. */
interface Waiting {
  readonly resolve: (connection: Connection | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** How to reach the server, and as whom. */
export interface ConnectionPlan {
  readonly address: Address;
  readonly tls: TlsPlan;
  readonly login: Login;
  readonly connectTimeoutMs: number;
}

/** How long a connection may lie idle before it is closed. */
const IDLE_MS = 60_000;

/** How long a client of somebody else may take to give a connection, in milliseconds. */
const RESERVE_MS = 10_000;

/** How old a connection may grow: after that a new one finds out where the server's name points by then. */
const LIFETIME_MS = 30 * 60_000;

/** Opens one connection, within its time limit or until the signal aborts. */
export async function openConnection(plan: ConnectionPlan, signal?: AbortSignal): Promise<Connection> {
  const timeout = timeoutSignal(plan.connectTimeoutMs);
  try {
    const signals = signal === undefined ? [timeout.signal] : [timeout.signal, signal];
    const socket = await openSocket(plan.address, plan.tls, AbortSignal.any(signals));
    return new Connection(socket, plan.login, plan.connectTimeoutMs);
  } finally {
    timeout.clear();
  }
}

/** Connections of our own, at most `size` of them, opened when they are needed. */
export class OwnPool implements Pool {
  readonly #plan: ConnectionPlan;
  readonly #size: number;
  readonly #all = new Set<Connection>();
  readonly #idle = new Map<Connection, NodeJS.Timeout>();
  readonly #waiting = new Set<Waiting>();
  readonly #ended = new AbortController();
  /** Connections that are open or being opened. */
  #count = 0;

  constructor(plan: ConnectionPlan, size: number) {
    this.#plan = plan;
    this.#size = size;
  }

  async use<T>(work: (session: Session) => Promise<T>, { isUrgent = false, patienceMs }: LoanOptions = {}): Promise<T> {
    const connection = await this.#borrow(isUrgent ? this.#size + 1 : this.#size, patienceMs);
    try {
      return await work(connection);
    } finally {
      this.#giveBack(connection);
    }
  }

  /** Takes a connection that was opened elsewhere, or closes it where there is no room. */
  async adopt(connection: Connection): Promise<void> {
    if (this.#ended.signal.aborted || this.#count >= this.#size || connection.broken) return connection.close();
    this.#count += 1;
    this.#keep(connection);
    this.#giveBack(connection);
  }

  async end(): Promise<void> {
    this.#ended.abort(lost());
    for (const { reject } of this.#waiting) reject(lost());
    this.#waiting.clear();
    const idle = [...this.#idle.keys()];
    for (const connection of idle) this.#leave(connection);
    // Whoever still works with one has been given up by everybody who could wait for it.
    for (const connection of this.#all) if (!idle.includes(connection)) connection.destroy();
    await Promise.allSettled(idle.map((connection) => connection.close()));
  }

  async #borrow(size: number, patienceMs: number | undefined): Promise<Connection> {
    const began = performance.now();
    for (;;) {
      this.#ended.signal.throwIfAborted();
      const idle = this.#takeIdle();
      if (idle !== undefined) return idle;
      if (this.#count < size) return this.#open();
      const leftMs = patienceMs === undefined ? undefined : patienceMs - (performance.now() - began);
      const lent = await this.#wait(leftMs);
      if (lent !== undefined && !lent.broken) return lent;
    }
  }

  /** The next connection that is given back; `undefined` where one may be opened. */
  #wait(limitMs: number | undefined): Promise<Connection | undefined> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const waiting: Waiting = {
        resolve: (connection) => {
          clearTimeout(timer);
          resolve(connection);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiting.add(waiting);
      if (limitMs === undefined) return;
      timer = setTimeout(() => {
        this.#waiting.delete(waiting);
        const message = `every connection was busy for ${Math.round(limitMs)} ms`;
        reject(Object.assign(new Error(message), { code: "ETIMEDOUT" }));
      }, limitMs);
    });
  }

  #nextWaiting(): Waiting | undefined {
    const [next] = this.#waiting;
    if (next !== undefined) this.#waiting.delete(next);
    return next;
  }

  /** The one that was used last: the others then reach the end of their idle time. */
  #takeIdle(): Connection | undefined {
    const connection = [...this.#idle.keys()].at(-1);
    if (connection !== undefined) this.#leave(connection);
    return connection;
  }

  #leave(connection: Connection): void {
    clearTimeout(this.#idle.get(connection));
    this.#idle.delete(connection);
  }

  async #open(): Promise<Connection> {
    this.#count += 1;
    try {
      const connection = await openConnection(this.#plan, this.#ended.signal);
      if (this.#ended.signal.aborted) connection.destroy();
      this.#ended.signal.throwIfAborted();
      this.#keep(connection);
      return connection;
    } catch (error) {
      this.#vacate();
      throw error;
    }
  }

  #keep(connection: Connection): void {
    this.#all.add(connection);
    connection.onBroken(() => this.#forget(connection));
  }

  #forget(connection: Connection): void {
    this.#leave(connection);
    if (this.#all.delete(connection)) this.#vacate();
  }

  /** A connection is gone: whoever waits may open another. */
  #vacate(): void {
    this.#count -= 1;
    this.#nextWaiting()?.resolve(undefined);
  }

  #giveBack(connection: Connection): void {
    if (connection.broken) return;
    if (this.#count > this.#size || performance.now() - connection.openedAt > LIFETIME_MS) {
      void connection.close();
      return;
    }
    const next = this.#nextWaiting();
    if (next === undefined) {
      this.#idle.set(connection, setTimeout(() => void connection.close(), IDLE_MS).unref());
    } else {
      next.resolve(connection);
    }
  }
}

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

/** A signal that aborts after a while, and a way to let go of its timer before. */
function timeoutSignal(ms: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    const message = `the server did not answer within ${ms} ms`;
    controller.abort(Object.assign(new Error(message), { code: "CONNECT_TIMEOUT" }));
  }, ms);
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}
