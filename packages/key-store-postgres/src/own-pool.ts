import type { Connection, Session } from "./connection.ts";
import { type ConnectionPlan, openConnection } from "./open-connection.ts";
import type { LoanOptions, Pool } from "./pool.ts";
import { lost } from "./socket.ts";

/** Somebody who waits for a connection. */
interface Waiting {
  readonly resolve: (connection: Connection | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** How long a connection may lie idle before it is closed. */
const IDLE_MS = 60_000;

/** How old a connection may grow: after that a new one finds out where the server's name points by then. */
const LIFETIME_MS = 30 * 60_000;

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
