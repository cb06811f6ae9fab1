import { asException } from "../errors.ts";
import type { RequestState } from "../request/request-state.ts";
import { queueTask, queueWork } from "../tasks.ts";
import type { Operation } from "./operation.ts";
import { ReadPlan } from "./read-plan.ts";
import type { TransactionState } from "./transaction-state.ts";

interface Entry {
  readonly operation: Operation;
  readonly request: RequestState | null;
}

/** What came of an operation: its result, or its error. */
export interface Outcome {
  readonly operation: Operation;
  readonly request: RequestState | null;
  readonly result: unknown;
  readonly error: DOMException | undefined;
}

/** How many operations share their reads. */
const GROUP = 256;

/** How many results may wait to be told before no more are made. */
const AHEAD = 512;

/**
 * Runs the operations of one transaction, in order. Those that were placed
 * together and only need records by their keys read them together; a result is
 * told in a task of its own, and by then the next may be on its way. Nothing of
 * this is to be seen: an abort takes back what has run ahead.
 */
export class Executor {
  readonly #transaction: TransactionState;
  #queue: Entry[] = [];
  #head = 0;
  #outcomes: Outcome[] = [];
  #told = 0;
  #started = false;
  #cancelled = false;
  #running: readonly Entry[] = NOTHING;
  #workQueued = false;
  #taskQueued = false;

  constructor(transaction: TransactionState) {
    this.#transaction = transaction;
  }

  /** Whether everything that was placed has been told. */
  get isIdle(): boolean {
    return this.#head === this.#queue.length && this.#running.length === 0 && this.#told === this.#outcomes.length;
  }

  place(operation: Operation, request: RequestState | null): void {
    this.#queue.push({ operation, request });
    this.#continue();
  }

  start(): void {
    this.#started = true;
    this.#continue();
  }

  /** Stops for good, and answers the requests that were not told a result. */
  cancel(): RequestState[] {
    this.#cancelled = true;
    const untold = [...this.#outcomes.slice(this.#told), ...this.#running, ...this.#queue.slice(this.#head)];
    this.#queue = [];
    this.#outcomes = [];
    this.#running = NOTHING;
    this.#head = 0;
    this.#told = 0;
    return untold.map((each) => each.request).filter((request) => request !== null);
  }

  #continue(): void {
    if (this.#workQueued || !this.#started || this.#running.length > 0) return;
    this.#workQueued = true;
    queueWork(() => {
      this.#workQueued = false;
      this.#work();
    });
  }

  /** Runs what can be run without waiting, up to the first that must wait. */
  #work(): void {
    while (!this.#cancelled && this.#running.length === 0) {
      const entry = this.#queue[this.#head];
      if (entry === undefined) {
        // With nothing to do the transaction may be at its end.
        if (this.isIdle) this.#transaction.settle();
        return;
      }
      if (this.#outcomes.length - this.#told >= AHEAD) return;
      if (entry.operation.writes && entry.operation.plan === undefined) {
        this.#running = [entry];
        this.#advance(1);
        this.#run();
      } else {
        this.#runGroup();
      }
    }
  }

  #runGroup(): void {
    const plan = new ReadPlan();
    const group: Entry[] = [];
    const writes = this.#queue[this.#head]?.operation.writes;
    for (let at = this.#head; at < this.#queue.length && group.length < GROUP; at += 1) {
      const entry = this.#queue[at] as Entry; // within its length
      const { operation } = entry;
      if (operation.writes !== writes) break;
      const joins = operation.plan === undefined ? !writes : operation.plan(plan);
      if (!joins) break;
      group.push(entry);
    }
    this.#advance(group.length);
    this.#running = group;
    if (plan.isEmpty) {
      this.#run();
      return;
    }
    plan.read(this.#transaction.records).then(
      () => {
        if (!this.#cancelled) this.#run();
        this.#work();
      },
      (error: unknown) => {
        this.#failAll(error);
        this.#work();
      },
    );
  }

  #advance(count: number): void {
    this.#head += count;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
  }

  /**
   * Runs the entries whose plans were carried out. Those that write wait for
   * one another; of the others, those that still have to read do so together.
   */
  #run(from = 0, before: readonly (Outcome | Promise<Outcome>)[] = []): void {
    const entries = this.#running;
    const outcomes = [...before];
    let waits = outcomes.some((outcome) => outcome instanceof Promise);
    for (let at = from; at < entries.length; at += 1) {
      const entry = entries[at] as Entry; // within its length
      const outcome = runOne(entry, this.#transaction);
      outcomes.push(outcome);
      if (!(outcome instanceof Promise)) continue;
      waits = true;
      if (entry.operation.writes && at + 1 < entries.length) {
        outcome.then(() => this.#cancelled || this.#run(at + 1, outcomes));
        return;
      }
    }
    if (!waits) this.#finish(outcomes as Outcome[]);
    else {
      Promise.all(outcomes).then((all) => {
        this.#finish(all);
        this.#work();
      });
    }
  }

  #failAll(error: unknown): void {
    const failure = asException(error);
    this.#finish(
      this.#running.map(({ operation, request }) => ({ operation, request, result: undefined, error: failure })),
    );
  }

  #finish(outcomes: readonly Outcome[]): void {
    if (this.#cancelled) return;
    this.#running = NOTHING;
    for (const outcome of outcomes) this.#outcomes.push(outcome);
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#taskQueued) return;
    this.#taskQueued = true;
    queueTask(() => {
      this.#taskQueued = false;
      this.#tell();
    });
  }

  /** Tells results, up to the first that somebody listens to. */
  #tell(): void {
    let listened = false;
    while (!listened && this.#told < this.#outcomes.length) {
      const outcome = this.#outcomes[this.#told] as Outcome; // within its length
      this.#told += 1;
      if (this.#told === this.#outcomes.length) {
        this.#outcomes = [];
        this.#told = 0;
      }
      listened = this.#transaction.deliver(outcome);
    }
    if (this.#cancelled) return;
    if (this.#outcomes.length > 0) this.#tellSoon();
    this.#continue();
  }
}

const NOTHING: readonly Entry[] = Object.freeze([]);

function runOne({ operation, request }: Entry, transaction: TransactionState): Outcome | Promise<Outcome> {
  try {
    const result = operation.run(transaction);
    if (!(result instanceof Promise)) return { operation, request, result, error: undefined };
    return result.then(
      (value: unknown) => ({ operation, request, result: value, error: undefined }),
      (error: unknown) => ({ operation, request, result: undefined, error: asException(error) }),
    );
  } catch (error) {
    return { operation, request, result: undefined, error: asException(error) };
  }
}
