import { AsyncLocalStorage } from "node:async_hooks";
import { InFlight } from "./in-flight.ts";
import { Overlay } from "./overlay.ts";
import type { RecordReader } from "./records.ts";
import { invalid } from "./validate.ts";

/** Where code runs that a batch called: the device store of the batch, until its work has settled. */
interface BatchScope {
  owner: object | undefined;
}

/** The batches that code runs inside of: of several device stores, where one's was begun in another's. */
const scopes = new AsyncLocalStorage<readonly BatchScope[]>();

/** Throws where the calling code runs inside the work of a batch of `owner`, so that waiting for that batch would never end. */
export function refuseInsideBatchOf(owner: object, what: string): void {
  if (!scopes.getStore()?.some((scope) => scope.owner === owner)) return;
  invalid(`${what} inside a batch of the same device, and would wait for itself`);
}

/** Runs code that belongs to no batch, although something inside one has called for it. */
export function outsideBatches(work: () => void): void {
  scopes.exit(work);
}

/** A batch that runs: what was committed in it, and the reads that look at that. */
export class Batch {
  readonly overlay: Overlay;
  /** Reads of the overlay; a commit in the middle of one would show it two states. */
  readonly reads = new InFlight();
  /** Whether commits still join it. Afterwards it becomes durable, and reads wait for that. */
  isOpen = true;
  readonly #ended = Promise.withResolvers<void>();
  /** Resolves when the batch is durable, or has failed. */
  readonly ended = this.#ended.promise;
  readonly end = this.#ended.resolve;
  #giveUp: () => void = () => {};

  constructor(base: RecordReader) {
    this.overlay = new Overlay(base);
  }

  /**
   * Runs the work. How it came out; `undefined` as soon as
   * {@link Batch.giveUp} is called, for work may then never settle.
   */
  async run<T>(owner: object, work: () => Promise<T>): Promise<PromiseSettledResult<T> | undefined> {
    // What work leaves running keeps its scope alive, and must not keep the batch alive by it.
    const scope: BatchScope = { owner };
    const outer = scopes.getStore()?.filter((one) => one.owner !== undefined) ?? [];
    const outcome = await new Promise<PromiseSettledResult<T> | undefined>((resolve) => {
      this.#giveUp = () => resolve(undefined);
      scopes
        .run([...outer, scope], async () => work())
        .then(
          (value) => resolve({ status: "fulfilled", value }),
          (reason) => resolve({ status: "rejected", reason }),
        );
    });
    scope.owner = undefined;
    return outcome;
  }

  /** The store has failed: the batch waits for its work no longer. */
  giveUp(): void {
    this.#giveUp();
  }
}
