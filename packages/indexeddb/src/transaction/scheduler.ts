/** A transaction as the scheduler sees it. */
export interface Scheduled {
  readonly readOnly: boolean;
  /** The object stores that it may use. */
  readonly scope: readonly { readonly lock: StoreLock }[];
  /** In how many queues it still waits: the scheduler's own. */
  waiting: number;
  /** Called when no earlier transaction stands in its way; during {@link schedule} if none does. */
  granted(): void;
}

/** Transactions that may use an object store at the same time: one that writes, or any number that read. */
interface Cohort {
  readonly readOnly: boolean;
  /** Members that wait; empty once they were granted. */
  waiting: Scheduled[];
  size: number;
}

/**
 * The queue of an object store: cohorts of transactions, of which the first
 * may run.
 */
export class StoreLock {
  readonly #cohorts: Cohort[] = [];

  /** Enqueues a transaction; whether it may run at once. */
  join(transaction: Scheduled): boolean {
    const cohorts = this.#cohorts;
    let last = cohorts.at(-1);
    if (last === undefined || !last.readOnly || !transaction.readOnly) {
      last = { readOnly: transaction.readOnly, waiting: [], size: 0 };
      cohorts.push(last);
    }
    last.size += 1;
    if (cohorts.length === 1) return true;
    last.waiting.push(transaction);
    return false;
  }

  /** Takes a transaction out, and lets run whoever waited for it. */
  leave(transaction: Scheduled): void {
    const cohorts = this.#cohorts;
    const at = transaction.waiting === 0 ? 0 : Math.max(0, this.#cohortOf(transaction));
    const cohort = cohorts[at];
    if (cohort === undefined) return;
    cohort.size -= 1;
    if (cohort.size > 0) return;
    cohorts.splice(at, 1);
    // Two cohorts of readers may meet where a writer gave up waiting.
    const before = cohorts[at - 1];
    const after = cohorts[at];
    if (before?.readOnly && after?.readOnly) {
      cohorts.splice(at, 1);
      before.size += after.size;
      before.waiting.push(...after.waiting);
    }
    this.#grantFirst();
  }

  /** Where a transaction waits; -1 where it does not, for it may run. */
  #cohortOf(transaction: Scheduled): number {
    for (const [at, cohort] of this.#cohorts.entries()) {
      const place = cohort.waiting.indexOf(transaction);
      if (place < 0) continue;
      cohort.waiting.splice(place, 1);
      return at;
    }
    return -1;
  }

  #grantFirst(): void {
    const first = this.#cohorts[0];
    if (first === undefined || first.waiting.length === 0) return;
    const granted = first.waiting;
    first.waiting = [];
    for (const transaction of granted) {
      transaction.waiting -= 1;
      if (transaction.waiting === 0) transaction.granted();
    }
  }
}

/**
 * Says when a transaction may start: when no live transaction that was created
 * earlier has an overlapping scope, unless both only read. It joins the queues
 * of all its stores at once, so that none waits in a circle.
 * https://www.w3.org/TR/IndexedDB-3/#transaction-scheduling
 */
export function schedule(transaction: Scheduled): void {
  for (const { lock } of transaction.scope) if (!lock.join(transaction)) transaction.waiting += 1;
  if (transaction.waiting === 0) transaction.granted();
}

/** Lets go of a transaction that has finished. */
export function unschedule(transaction: Scheduled): void {
  for (const { lock } of transaction.scope) lock.leave(transaction);
}
