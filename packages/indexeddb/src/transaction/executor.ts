import { Fifo } from "../fifo.ts";
import type { RequestState } from "../request/request-state.ts";
import { queueTask, queueWork, type Task, type Work } from "../tasks.ts";
import type { Operation } from "./operation.ts";
import { ReadPlan } from "./read-plan.ts";
import type { TransactionState } from "./transaction-state.ts";

/** An operation in the queue, and once it has run what came of it. */
export interface Job {
  readonly operation: Operation;
  /** Null for work that nobody asked for by a request. */
  readonly request: RequestState | null;
  result: unknown;
  error: DOMException | undefined;
}

/** How many operations share their reads. */
const GROUP = 256;

/** How many results may wait to be told before no more are made. */
const AHEAD = 512;

const NOTHING: readonly Job[] = Object.freeze([]);

/**
 * Runs the operations of one transaction, in order. Those that were placed
 * together read together what they need; a result is told in a task of its own,
 * and by then the next may be on its way. Nothing of this is to be seen: an
 * abort takes back what has run ahead.
 */
export class Executor implements Task, Work {
  readonly #transaction: TransactionState;
  readonly #queue = new Fifo<Job>();
  #running: readonly Job[] = NOTHING;
  /** Those that have run, and that nobody knows of yet. */
  readonly #done = new Fifo<Job>();
  #started = false;
  #cancelled = false;
  #workQueued = false;
  #taskQueued = false;

  constructor(transaction: TransactionState) {
    this.#transaction = transaction;
  }

  /** Whether everything that was placed has been told. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#running.length === 0 && this.#done.length === 0;
  }

  place(operation: Operation, request: RequestState | null): void {
    if (this.#cancelled) return;
    this.#queue.push({ operation, request, result: undefined, error: undefined });
    this.#continue();
  }

  start(): void {
    this.#started = true;
    this.#continue();
  }

  /** Stops for good, and answers the requests that were not told a result. */
  cancel(): RequestState[] {
    this.#cancelled = true;
    if (this.isIdle) return [];
    const untold = [...this.#done.takeAll(), ...this.#running, ...this.#queue.takeAll()];
    this.#running = NOTHING;
    return untold.map((job) => job.request).filter((request) => request !== null);
  }

  #continue(): void {
    if (this.#workQueued || !this.#started || this.#running.length > 0) return;
    this.#workQueued = true;
    queueWork(this);
  }

  work(): void {
    this.#workQueued = false;
    this.#work();
  }

  /** Runs what can be run without waiting, up to the first that must wait. */
  #work(): void {
    if (!this.#cancelled && this.#transaction.dropIfSilent()) return;
    while (!this.#cancelled && this.#running.length === 0) {
      const job = this.#queue.at(0);
      if (job === undefined) {
        // With nothing to do the transaction may be at its end.
        if (this.isIdle) this.#transaction.settle();
        return;
      }
      if (this.#done.length >= AHEAD) return;
      if (job.operation.plan === undefined && !job.operation.scans) {
        this.#queue.drop(1);
        this.#runAlone(job);
      } else {
        this.#runGroup();
      }
    }
  }

  /** Runs an operation that need not be waited for, unless it says so itself. */
  #runAlone(job: Job): void {
    const waiting = run(job, this.#transaction);
    if (waiting === undefined) {
      this.#done.push(job);
      this.#tellSoon();
      return;
    }
    this.#running = [job];
    this.#goOnAfter(waiting, () => this.#finish());
  }

  #runGroup(): void {
    const plan = new ReadPlan(this.#transaction.records);
    const group: Job[] = [];
    let writes = false;
    let scans = false;
    while (group.length < GROUP) {
      const job = this.#queue.at(group.length);
      if (job === undefined) break;
      const { operation } = job;
      writes ||= operation.writes;
      scans ||= operation.scans;
      if (writes && scans && group.length > 0) break;
      plan.isFirst = group.length === 0;
      try {
        if (operation.plan?.(plan) === false) break;
      } catch (error) {
        // Its own failure: what others have planned is read all the same.
        job.error = this.#transaction.exceptionOf(error);
      }
      group.push(job);
      // One that both reads ranges and writes stands alone.
      if (writes && scans) break;
    }
    this.#queue.drop(group.length);
    this.#running = group;
    if (plan.isEmpty) {
      this.#runFrom(0);
      return;
    }
    let reading: Promise<unknown>;
    try {
      reading = plan.read();
    } catch (error) {
      // A device store is to reject, not to throw.
      this.#fail(error);
      return;
    }
    reading.then(
      () => {
        if (!this.#cancelled) this.#runFrom(0);
        this.#work();
      },
      (error: unknown) => {
        this.#fail(error);
        this.#work();
      },
    );
  }

  /** Finishes the group, whose reads have failed. */
  #fail(error: unknown): void {
    const failure = this.#transaction.exceptionOf(error);
    for (const job of this.#running) job.error ??= failure;
    this.#finish();
  }

  /**
   * Runs the group from one job on; its plan was carried out. Those that still
   * have to read do so together; one that writes is waited for before the next,
   * and has none in its group that reads more.
   */
  #runFrom(first: number): void {
    const jobs = this.#running;
    const reads: Promise<void>[] = [];
    for (let at = first; at < jobs.length; at += 1) {
      const job = jobs[at] as Job; // within its length
      if (job.error !== undefined) continue;
      const waiting = run(job, this.#transaction);
      if (waiting === undefined) continue;
      if (job.operation.writes) {
        this.#goOnAfter(waiting, () => this.#runFrom(at + 1));
        return;
      }
      reads.push(waiting);
    }
    if (reads.length === 0) this.#finish();
    else this.#goOnAfter(Promise.all(reads), () => this.#finish());
  }

  #goOnAfter(waiting: Promise<unknown>, next: () => void): void {
    waiting.then(() => {
      if (!this.#cancelled) next();
      this.#work();
    });
  }

  #finish(): void {
    if (this.#cancelled) return;
    for (const job of this.#running) this.#done.push(job);
    this.#running = NOTHING;
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#taskQueued) return;
    this.#taskQueued = true;
    queueTask(this);
  }

  /** Tells results, up to the first that somebody listens to. */
  runTask(): void {
    this.#taskQueued = false;
    if (this.#cancelled || this.#transaction.dropIfSilent()) return;
    let listened = false;
    while (!listened) {
      const job = this.#done.shift();
      if (job === undefined) break;
      listened = this.#transaction.deliver(job);
    }
    if (this.#cancelled) return;
    if (this.#done.length > 0) this.#tellSoon();
    this.#continue();
  }
}

/** Runs a job's operation; a promise where it must be waited for, which does not reject. */
function run(job: Job, transaction: TransactionState): Promise<void> | undefined {
  try {
    const result = job.operation.run(transaction);
    if (result instanceof Promise) return settle(job, result, transaction);
    job.result = result;
  } catch (error) {
    job.error = transaction.exceptionOf(error);
  }
  return undefined;
}

async function settle(job: Job, waiting: Promise<unknown>, transaction: TransactionState): Promise<void> {
  try {
    job.result = await waiting;
  } catch (error) {
    job.error = transaction.exceptionOf(error);
  }
}
