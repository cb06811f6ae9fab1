import type { Session } from "./connection.ts";

/** Sessions with one server, lent to one user at a time. */
export interface Pool {
  /** Lends a session for as long as `work` takes. */
  use<T>(work: (session: Session) => Promise<T>, options?: LoanOptions): Promise<T>;
  /** Gives every session up. Does not throw. */
  end(): Promise<void>;
}

/** How a session is lent. */
export interface LoanOptions {
  /** What is urgent need not wait for others: one connection more is opened for it. Default: `false`. */
  readonly isUrgent?: boolean | undefined;
  /** How long to wait for others, in milliseconds: who asked has given up then. Default: as long as it takes. */
  readonly patienceMs?: number | undefined;
}
