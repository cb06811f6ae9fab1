import { Batch, outsideBatches, refuseInsideBatchOf } from "./batch.ts";
import { type CacheMemory, ReadCache } from "./cache.ts";
import type { Counters } from "./counters.ts";
import { DirectReader } from "./direct-reader.ts";
import type { DeviceDriver, DeviceMark, DeviceState, Guard, HighWaterMark } from "./driver.ts";
import { asKeyStoreError, isKeyStoreError, KeyStoreError, messageOf } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import type { DeviceMove, DeviceRef, LeaseHolder, MovableDevice } from "./key-store.ts";
import { Overlay } from "./overlay.ts";
import type { Change, KeyRange, Known, Page, RecordReader, StoredRecord } from "./records.ts";
import { nameOf, refusalOf } from "./refusal.ts";
import { retrying } from "./retry.ts";
import type { CollectionUsage } from "./stats.ts";
import { Backoff, Deadline, Mutex, within } from "./timing.ts";
import {
  checkChange,
  checkCollection,
  checkDevice,
  checkEntry,
  checkKey,
  checkPage,
  checkRange,
  invalid,
} from "./validate.ts";

/** How long a device store that is closed tries to give its lease back, in milliseconds. */
const RELEASE_MS = 3_000;

/** What a device store needs of its key store. */
export interface DeviceStoreContext {
  readonly device: DeviceRef;
  readonly holder: LeaseHolder;
  readonly epoch: bigint;
  readonly revision: bigint;
  readonly move?: DeviceMove | undefined;
  readonly driver: DeviceDriver;
  readonly operationTimeoutMs: number;
  readonly commitTimeoutMs: number;
  readonly counters: Counters;
  readonly cache: CacheMemory | undefined;
  /** Told of every state that the database has acknowledged. */
  readonly acknowledged: (mark: HighWaterMark) => void;
  /** Told of another name that the device was given. */
  readonly renamed: () => Promise<void>;
  /** Told of every failure and, with no argument, of every success against the database. */
  readonly observe: (failure?: KeyStoreError) => void;
  readonly onClose: () => Promise<void>;
}

/** The {@link DeviceStore} over a driver: batches, cache, retries, fencing and poisoning are here, for all adapters. */
export class DriverDeviceStore implements MovableDevice {
  readonly #context: DeviceStoreContext;
  readonly #reader: RecordReader;
  readonly #cache: ReadCache | undefined;
  readonly #failed = new AbortController();
  readonly #commits = new Mutex();
  readonly #batches = new Mutex();
  readonly #inFlight = new InFlight();
  #epoch: bigint;
  #revision: bigint;
  #device: DeviceRef;
  #move: DeviceMove | undefined;
  #batch: Batch | undefined;
  #failure: KeyStoreError | undefined;
  #closing: Promise<void> | undefined;

  constructor(context: DeviceStoreContext) {
    this.#context = context;
    this.#device = context.device;
    this.#move = context.move;
    this.#epoch = context.epoch;
    this.#revision = context.revision;
    const direct = new DirectReader(context.driver, (what, read) => this.#read(what, read));
    this.#cache = context.cache && new ReadCache(direct, context.cache, context.counters);
    this.#reader = this.#cache ?? direct;
  }

  get device(): DeviceRef {
    return this.#device;
  }

  get move(): DeviceMove | undefined {
    return this.#move;
  }

  get epoch(): bigint {
    return this.#epoch;
  }

  get revision(): bigint {
    return this.#revision;
  }

  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  async get(collection: string, key: Uint8Array): Promise<Uint8Array | undefined> {
    const [value] = await this.getMany(collection, [key]);
    return value;
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    checkCollection(collection);
    if (!Array.isArray(keys)) invalid("keys are an array");
    keys.forEach(checkKey);
    return this.#track((reader) => reader.getMany(collection, keys));
  }

  peek(collection: string, key: Uint8Array): Known {
    checkCollection(collection);
    checkKey(key);
    this.#usable();
    const batch = this.#batch;
    // What a batch that is being committed has written is not to be seen before it is durable.
    if (batch !== undefined && !batch.isOpen) return "unknown";
    const reader = batch?.overlay ?? this.#reader;
    const known = reader.peek === undefined ? "unknown" : reader.peek(collection, key);
    if (known !== "unknown") this.#context.counters.reads += 1;
    return known;
  }

  async list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    checkCollection(collection);
    checkRange(range);
    checkPage(page);
    return this.#track((reader) => reader.list(collection, range, page));
  }

  async count(collection: string, range: KeyRange = {}): Promise<number> {
    checkCollection(collection);
    checkRange(range);
    return this.#track((reader) => reader.count(collection, range));
  }

  async collections(): Promise<CollectionUsage[]> {
    this.#usable();
    return this.#inFlight.track(this.#read("a look at the collections", () => this.#context.driver.collections()));
  }

  async mark(move: DeviceMove | undefined, deviceId?: string): Promise<void> {
    const device = deviceId === undefined ? this.#device : checkDevice({ ...this.#device, deviceId });
    await this.#setMark({ move, deviceId });
    this.#move = move;
    if (device === this.#device) return;
    this.#device = device;
    await this.#context.renamed();
  }

  async commit(changes: Iterable<Change>): Promise<void> {
    const given = changes instanceof Overlay;
    const overlay = given ? changes : this.#overlayOf(changes);
    if (given) overlay.forEach(checkEntry);
    this.#usable();
    if (overlay.isEmpty) return;
    if (this.#batch?.isOpen) this.#batch.overlay.absorb(overlay);
    else await this.#inFlight.track(this.#commits.run(() => this.#write(overlay)));
  }

  async batch<T>(work: () => Promise<T>): Promise<T> {
    if (typeof work !== "function") invalid("the work of a batch is a function");
    refuseInsideBatchOf(this, "a batch was begun");
    this.#usable();
    return this.#inFlight.track(this.#batches.run(() => this.#runBatch(work)));
  }

  async close(): Promise<void> {
    refuseInsideBatchOf(this, "a device store was closed");
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #overlayOf(changes: Iterable<Change>): Overlay {
    const overlay = new Overlay(this.#reader);
    if (typeof changes?.[Symbol.iterator] !== "function") invalid("changes are an iterable");
    for (const change of changes) {
      checkChange(change);
      overlay.apply(change);
    }
    return overlay;
  }

  async #runBatch<T>(work: () => Promise<T>): Promise<T> {
    this.#throwIfPoisoned();
    // Open at once, though commits from before it may still run: work may wait for one that is made from now on.
    const batch = new Batch(this.#reader);
    this.#batch = batch;
    const outcome = await batch.run(this, work);
    try {
      batch.isOpen = false;
      if (outcome === undefined) throw this.#failure;
      // Queued as it is closed, reads of it or not: a commit that can join it no longer must not overtake it.
      await this.#commits.run(() => this.#writeBatch(batch));
    } finally {
      this.#batch = undefined;
      batch.end();
    }
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  }

  async #writeBatch(batch: Batch): Promise<void> {
    await batch.reads.drained();
    // Whoever met the failure inside the batch may have swallowed it: the batch itself tells it.
    if (this.#failure !== undefined) throw this.#failure;
    if (!batch.overlay.isEmpty) await this.#write(batch.overlay);
  }

  /** Makes the overlay's changes durable, or poisons. Called by one at a time. */
  async #write(overlay: Overlay): Promise<void> {
    this.#throwIfPoisoned();
    const changes = overlay.reduced();
    const began = performance.now();
    const commit = () => this.#commitOnce(() => this.#context.driver.commit(this.#guard, changes));
    try {
      await (this.#cache === undefined ? commit() : this.#cache.writing(changes, commit));
    } catch (error) {
      throw this.#poison(error);
    }
    this.#context.counters.committed(performance.now() - began);
    this.#context.observe();
  }

  /** A commit of its own, whatever else is committed. */
  #setMark(mark: DeviceMark): Promise<void> {
    this.#usable();
    const { driver } = this.#context;
    const write = async () => {
      this.#throwIfPoisoned();
      try {
        await this.#commitOnce(() => driver.mark(this.#guard, mark));
      } catch (error) {
        throw this.#poison(error);
      }
    };
    return this.#inFlight.track(this.#commits.run(write));
  }

  /** Moves the revision by exactly one, through broken connections, within the time limit. */
  async #commitOnce(attempt: () => Promise<boolean>): Promise<void> {
    const { commitTimeoutMs } = this.#context;
    const deadline = new Deadline(commitTimeoutMs);
    // An attempt that hangs on a dead connection must leave time to settle it and to try again.
    const attemptMs = commitTimeoutMs / 3;
    const backoff = new Backoff();
    for (;;) {
      try {
        const limit = Math.min(attemptMs, deadline.remainingMs);
        const applied = await within(limit, "a commit", attempt());
        if (!applied) throw await this.#refusal(deadline);
        this.#advance(this.#epoch, this.#revision + 1n);
        return;
      } catch (error) {
        if (!isRetryable(error) || deadline.isOver) throw error;
        this.#beforeRetry(error);
      }
      await backoff.pause(deadline.remainingMs);
      if (await this.#settle(deadline.remainingMs)) return;
    }
  }

  /** After a commit whose outcome is unknown: whether it was applied, with any attempt that still runs fenced. */
  async #settle(limitMs: number): Promise<boolean> {
    const { driver, holder } = this.#context;
    let state: DeviceState | undefined;
    try {
      const look = () => driver.settle(holder.id);
      state = await this.#retrying("the look after an uncertain commit", limitMs, look);
    } catch (error) {
      // However the look fails, the commit may be durable: only this code says so.
      const message = `whether the commit was applied could not be found out: ${messageOf(error)}`;
      throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message, { cause: error });
    }
    return this.#settled(state);
  }

  #settled(state: DeviceState | undefined): boolean {
    const guard = this.#guard;
    const ours = state?.holder?.id === guard.holderId && state.epoch > guard.epoch;
    if (!ours || (state.revision !== guard.revision && state.revision !== guard.revision + 1n)) {
      throw refusalOf(this.device, guard, state);
    }
    this.#advance(state.epoch, state.revision);
    return state.revision !== guard.revision;
  }

  #advance(epoch: bigint, revision: bigint): void {
    this.#epoch = epoch;
    this.#revision = revision;
    this.#context.acknowledged({ epoch, revision });
  }

  async #refusal(deadline: Deadline): Promise<KeyStoreError> {
    const look = this.#context.driver.state();
    return refusalOf(this.device, this.#guard, await within(deadline.remainingMs, "the look after a refusal", look));
  }

  get #guard(): Guard {
    return { holderId: this.#context.holder.id, epoch: this.#epoch, revision: this.#revision };
  }

  /** A read against the database: tried again after a broken connection, and poisoning when it fails for good. */
  async #read<T>(what: string, read: () => Promise<T>): Promise<T> {
    const attempt = () => {
      this.#throwIfPoisoned();
      return read();
    };
    try {
      const answer = await this.#retrying(what, this.#context.operationTimeoutMs, attempt);
      this.#context.observe();
      return answer;
    } catch (error) {
      throw this.#poison(error);
    }
  }

  #retrying<T>(what: string, limitMs: number, attempt: () => Promise<T>): Promise<T> {
    return retrying(what, limitMs, attempt, (failure) => this.#beforeRetry(failure));
  }

  #beforeRetry(failure: KeyStoreError): void {
    this.#context.counters.retries += 1;
    this.#context.observe(failure);
  }

  #track<T>(read: (reader: RecordReader) => Promise<T>): Promise<T> {
    this.#usable();
    this.#context.counters.reads += 1;
    return this.#inFlight.track(this.#answer(read));
  }

  /** Answers from the batch where there is one. A read that has begun ends, though the store is closed meanwhile. */
  #answer<T>(read: (reader: RecordReader) => Promise<T>): Promise<T> {
    const batch = this.#batch;
    if (batch === undefined) return read(this.#reader);
    if (batch.isOpen) return batch.reads.track(read(batch.overlay));
    return batch.ended.then(() => {
      this.#throwIfPoisoned();
      return this.#answer(read);
    });
  }

  /** Throws when nothing may begin any more. While a batch runs that began before `close()`, what it needs still may. */
  #usable(): void {
    this.#throwIfPoisoned();
    if (this.#closing !== undefined && !this.#batch?.isOpen) {
      throw new KeyStoreError("ERR_KEY_STORE_CLOSED", `the device store of ${nameOf(this.device)} is closed`);
    }
  }

  #throwIfPoisoned(): void {
    if (this.#failure === undefined) return;
    const message = `an earlier operation failed (${this.#failure.message}): close this device store and open the device again`;
    throw new KeyStoreError("ERR_KEY_STORE_POISONED", message, { cause: this.#failure, holder: this.#failure.holder });
  }

  /** Remembers the first failure, and answers with this one. */
  #poison(error: unknown): KeyStoreError {
    const failure = asKeyStoreError(error);
    if (failure.code !== "ERR_KEY_STORE_POISONED" && this.#failure === undefined) {
      this.#failure = failure;
      this.#context.observe(failure);
      this.#batch?.giveUp();
      // Whoever is told may close the store: that waits for the batch, which must not seem to be waiting for itself.
      outsideBatches(() => this.#failed.abort(failure));
    }
    return failure;
  }

  async #close(): Promise<void> {
    await this.#inFlight.drained();
    this.#cache?.close();
    const { driver, holder, operationTimeoutMs, observe, onClose } = this.#context;
    const limitMs = Math.min(operationTimeoutMs, RELEASE_MS);
    try {
      await this.#retrying("giving the lease back", limitMs, () => driver.release(holder.id));
    } catch (error) {
      // The lease runs out by itself; whoever opens the device next waits for that.
      observe(asKeyStoreError(error));
    }
    await onClose();
  }
}

function isRetryable(error: unknown): error is KeyStoreError {
  return isKeyStoreError(error, "ERR_KEY_STORE_UNAVAILABLE");
}
