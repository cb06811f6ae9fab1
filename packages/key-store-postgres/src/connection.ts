import type { Socket } from "node:net";
import postgres from "postgres";
import type { Row } from "./codec.ts";
import { leavesConnectionUsable } from "./errors.ts";
import { lost } from "./socket.ts";

/** What a statement came to. */
export interface Answer {
  readonly rows: readonly Row[];
  readonly columns: readonly string[];
  /** The first word of the statement, as the server took it: `SELECT`, `BEGIN`, … */
  readonly command: string;
  /** The rows that it wrote, deleted, or answered with. */
  readonly affected: number;
  /** The process id that the server, or the pooler in front of it, gave this connection. */
  readonly pid: number | undefined;
}

export interface StatementOptions {
  /** Whether the server keeps the statement, under a name, for the next time. */
  readonly prepare: boolean;
  /** How long the answer may take, in milliseconds; the connection is given up after that. */
  readonly limitMs: number;
}

/** One session with the server, for one user at a time. */
export interface Session {
  /** Sends one statement; parameters are text, `null` is NULL. */
  run(text: string, parameters: readonly (string | null)[], options: StatementOptions): Promise<Answer>;
  /** Whether it must not be used again: nothing may be sent over it, not even a rollback. */
  readonly broken: boolean;
  /** Ends it at once: it is in a state that nobody knows. */
  discard(): void;
}

export interface Login {
  readonly database: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly applicationName: string;
}

/**
 * One connection, over a socket that is open already. A connection that fails
 * is thrown away: the client that it is made of would reconnect by itself,
 * under a transaction that had begun on the old connection.
 */
export class Connection implements Session {
  readonly #sql: postgres.Sql;
  readonly #socket: Socket;
  readonly openedAt = performance.now();
  #broken = false;
  /** Rejects the statement that runs. */
  #fail: ((reason: Error) => void) | undefined;
  #onBroken: (() => void) | undefined;

  constructor(socket: Socket, login: Login, connectTimeoutMs: number) {
    this.#socket = socket;
    // A server never closes one direction only: an end is a loss, and must reach the client as an error.
    socket.once("end", () => socket.destroy(lost()));
    socket.once("close", () => this.#break(lost()));
    socket.on("error", (error) => this.#break(error));
    let isUsed = false;
    // Asked for a second time, the client wants to reconnect.
    const onlyOnce = async (): Promise<Socket> => {
      if (isUsed || socket.destroyed) throw lost();
      isUsed = true;
      return socket;
    };
    this.#sql = postgres({
      // Its types leave this option out.
      ...({ socket: onlyOnce } as object),
      host: "localhost",
      port: 5432,
      ...(login.database === undefined ? {} : { database: login.database }),
      ...(login.user === undefined ? {} : { user: login.user }),
      ...(login.password === undefined ? {} : { password: login.password }),
      connection: { application_name: login.applicationName },
      ssl: false,
      max: 1,
      connect_timeout: connectTimeoutMs / 1000,
      idle_timeout: 0,
      max_lifetime: null,
      keep_alive: 30,
      fetch_types: false,
      prepare: true,
      onnotice: () => {},
    });
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** Calls back once, when the connection has been lost. */
  onBroken(callback: () => void): void {
    this.#onBroken = callback;
  }

  async run(
    text: string,
    parameters: readonly (string | null)[],
    { prepare, limitMs }: StatementOptions,
  ): Promise<Answer> {
    if (this.#broken) throw lost();
    const timer = setTimeout(() => this.destroy(late(limitMs)), limitMs);
    try {
      return await new Promise<Answer>((resolve, reject) => {
        // The client does not notice every way in which a socket can end.
        this.#fail = reject;
        ask(this.#sql, text, parameters, prepare).then(resolve, reject);
      });
    } catch (error) {
      if (!leavesConnectionUsable(error)) this.destroy();
      throw error;
    } finally {
      this.#fail = undefined;
      clearTimeout(timer);
    }
  }

  discard(): void {
    this.destroy();
  }

  /** Ends the session in good order. */
  async close(): Promise<void> {
    this.#break(lost());
    await this.#sql.end({ timeout: 1 });
    this.#socket.destroy();
  }

  /** Ends it at once; what is under way rejects with `reason`. */
  destroy(reason: Error = lost()): void {
    this.#break(reason);
    this.#socket.destroy(reason);
    // Stops the timers of the client, and rejects what it still holds.
    this.#sql.end({ timeout: 0 }).catch(() => {});
  }

  #break(reason: Error): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#fail?.(reason);
    this.#onBroken?.();
  }
}

/** Sends a statement through a client, whatever the client was told to make of names and types. */
export async function ask(
  sql: postgres.Sql | postgres.ReservedSql,
  text: string,
  parameters: readonly (string | null)[],
  prepare: boolean,
): Promise<Answer> {
  // Copied: the client writes into it.
  const query = sql.unsafe(text, [...parameters], { prepare, simple: false } as postgres.UnsafeQueryOptions).raw();
  const result = await query;
  const { columns, command, count, state } = result as unknown as {
    readonly columns?: readonly { readonly name: string }[];
    readonly command?: string;
    readonly count: number | null;
    readonly state?: { readonly pid?: number | null };
  };
  return {
    rows: result as unknown as Row[],
    columns: columns?.map(({ name }) => name) ?? [],
    command: command ?? "",
    affected: count ?? 0,
    pid: state?.pid ?? undefined,
  };
}

/** The error of a statement that had no answer within its time limit. */
export function late(limitMs: number): Error {
  return Object.assign(new Error(`the server did not answer within ${limitMs} ms`), { code: "ETIMEDOUT" });
}
