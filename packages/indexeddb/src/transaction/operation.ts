import type { ReadPlan } from "./read-plan.ts";
import type { TransactionState } from "./transaction-state.ts";

/** What a request asks of the records. Placed in a transaction's queue, run in order. */
export interface Operation {
  /** Whether it changes records. */
  readonly writes: boolean;

  /**
   * Whether it reads more than records by their keys. Then nothing that writes
   * runs beside it: what it had read would be out of date.
   */
  readonly scans: boolean;

  /**
   * Plans what it must read before it can run, and answers whether it may run
   * in the plan's group; false changes nothing and puts it into the next one.
   * Absent where it reads nothing, or only as it runs. An exception is the
   * request's error.
   */
  readonly plan?: ((plan: ReadPlan) => boolean) | undefined;

  /**
   * Runs, after its plan was carried out, and answers the request's result. An
   * exception is the request's error.
   */
  run(transaction: TransactionState): unknown;

  /** Called as its result is told, before any event; not after a failure. Never throws: what may fail is done before. */
  told?(): void;
}
