/** A transaction as the scheduler sees it. */
export interface Scheduled {
  readonly readOnly: boolean;
  /** The ids of the object stores that it may use. */
  readonly scopeIds: readonly number[];
  /** Called when no earlier transaction stands in its way; during {@link Scheduler.add} if none does. */
  granted(): void;
}

/** Transactions that may use an object store at the same time: one that writes, or any number that read. */
interface Cohort {
  readonly readOnly: boolean;
  readonly members: Set<Scheduled>;
}

/**
 * Says when a transaction may start: when no live transaction that was created
 * earlier has an overlapping scope, unless both only read.
 * https://www.w3.org/TR/IndexedDB-3/#transaction-scheduling
 *
 * Each object store has a queue of cohorts, whose first may run. A transaction
 * joins the queues of all its stores at once, so that none waits in a circle.
 */
export class Scheduler {
  readonly #queues = new Map<number, Cohort[]>();
  /** In how many queues a transaction still waits. */
  readonly #waiting = new Map<Scheduled, number>();

  add(transaction: Scheduled): void {
    let waiting = 0;
    for (const id of transaction.scopeIds) if (!this.#join(id, transaction)) waiting += 1;
    if (waiting === 0) transaction.granted();
    else this.#waiting.set(transaction, waiting);
  }

  /** Lets go of a transaction that has finished. Those that waited for it are granted. */
  remove(transaction: Scheduled): void {
    this.#waiting.delete(transaction);
    for (const id of transaction.scopeIds) this.#leave(id, transaction);
  }

  #join(id: number, transaction: Scheduled): boolean {
    const queue = this.#queues.get(id);
    if (queue === undefined) {
      this.#queues.set(id, [cohortOf(transaction)]);
      return true;
    }
    const last = queue.at(-1);
    if (last?.readOnly && transaction.readOnly) last.members.add(transaction);
    else queue.push(cohortOf(transaction));
    return queue.length === 1;
  }

  #leave(id: number, transaction: Scheduled): void {
    const queue = this.#queues.get(id) ?? [];
    const at = queue.findIndex((cohort) => cohort.members.delete(transaction));
    if (at < 0 || queue[at]?.members.size !== 0) return;
    queue.splice(at, 1);
    // Two cohorts of readers may meet where a writer gave up waiting.
    const before = queue[at - 1];
    const after = queue[at];
    if (before?.readOnly && after?.readOnly) {
      queue.splice(at, 1);
      for (const member of after.members) {
        before.members.add(member);
        if (at === 1) this.#grant(member);
      }
    }
    if (at === 0) for (const member of queue[0]?.members ?? []) this.#grant(member);
    if (queue.length === 0) this.#queues.delete(id);
  }

  #grant(transaction: Scheduled): void {
    const waiting = (this.#waiting.get(transaction) ?? 0) - 1;
    if (waiting > 0) this.#waiting.set(transaction, waiting);
    else {
      this.#waiting.delete(transaction);
      transaction.granted();
    }
  }
}

function cohortOf(transaction: Scheduled): Cohort {
  return { readOnly: transaction.readOnly, members: new Set([transaction]) };
}
