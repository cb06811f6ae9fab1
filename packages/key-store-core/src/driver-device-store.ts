import { Batch, outsideBatches, refuseInsideBatchOf } from "./batch.ts";
import { type CacheMemory, ReadCache } from "./cache.ts";
import type { Counters } from "./counters.ts";
import { DeviceRow, type DeviceRowContext } from "./device-row.ts";
import { DirectReader } from "./direct-reader.ts";
import type { DeviceMark } from "./driver.ts";
import { asKeyStoreError, KeyStoreError } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import type { DeviceMove, DeviceRef, MovableDevice } from "./key-store.ts";
import { Overlay } from "./overlay.ts";
import type { Change, KeyRange, Known, Page, RecordReader, StoredRecord } from "./records.ts";
import { nameOf } from "./refusal.ts";
import { retrying } from "./retry.ts";
import type { CollectionUsage } from "./stats.ts";
import { Mutex } from "./timing.ts";
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
export interface DeviceStoreContext extends DeviceRowContext {
  readonly operationTimeoutMs: number;
  readonly counters: Counters;
  readonly cache: CacheMemory | undefined;
  /** Told of another name that the device was given. */
  readonly renamed: () => Promise<void>;
  /** Told of every failure and, with no argument, of every success against the database. */
  readonly observe: (failure?: KeyStoreError) => void;
  readonly onClose: () => Promise<void>;
}

/** The {@link DeviceStore} over a driver: batches, cache, retries, the order of commits and poisoning are here, for all adapters. */
export class DriverDeviceStore implements MovableDevice {
  readonly #context: DeviceStoreContext;
  readonly #row: DeviceRow;
  readonly #reader: RecordReader;
  readonly #cache: ReadCache | undefined;
  readonly #failed = new AbortController();
  readonly #commits = new Mutex();
  readonly #batches = new Mutex();
  readonly #inFlight = new InFlight();
  #batch: Batch | undefined;
  #failure: KeyStoreError | undefined;
  #closing: Promise<void> | undefined;

  constructor(context: DeviceStoreContext) {
    this.#context = context;
    this.#row = new DeviceRow(context, this.#beforeRetry);
    const direct = new DirectReader(context.driver, (what, read) => this.#read(what, read));
    this.#cache = context.cache && new ReadCache(direct, context.cache, context.counters);
    this.#reader = this.#cache ?? direct;
  }

  get device(): DeviceRef {
    return this.#row.device;
  }

  get move(): DeviceMove | undefined {
    return this.#row.move;
  }

  get epoch(): bigint {
    return this.#row.epoch;
  }

  get revision(): bigint {
    return this.#row.revision;
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
    if (deviceId !== undefined) checkDevice({ ...this.device, deviceId });
    this.#usable();
    await this.#inFlight.track(this.#commits.run(() => this.#setMark({ move, deviceId })));
    if (deviceId !== undefined) await this.#context.renamed();
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
    const commit = () => this.#row.commit(changes);
    try {
      await (this.#cache === undefined ? commit() : this.#cache.writing(changes, commit));
    } catch (error) {
      throw this.#poison(error);
    }
    this.#context.counters.committed(performance.now() - began);
    this.#context.observe();
  }

  /** A commit of its own, whatever else is committed. */
  async #setMark(mark: DeviceMark): Promise<void> {
    this.#throwIfPoisoned();
    try {
      await this.#row.mark(mark);
    } catch (error) {
      throw this.#poison(error);
    }
  }

  /** A read against the database: tried again after a broken connection, and poisoning when it fails for good. */
  async #read<T>(what: string, read: () => Promise<T>): Promise<T> {
    const attempt = () => {
      this.#throwIfPoisoned();
      return read();
    };
    try {
      const answer = await retrying(what, this.#context.operationTimeoutMs, attempt, this.#beforeRetry);
      this.#context.observe();
      return answer;
    } catch (error) {
      throw this.#poison(error);
    }
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
      await retrying("giving the lease back", limitMs, () => driver.release(holder.id), this.#beforeRetry);
    } catch (error) {
      // The lease runs out by itself; whoever opens the device next waits for that.
      observe(asKeyStoreError(error));
    }
    await onClose();
  }

  readonly #beforeRetry = (failure: KeyStoreError): void => {
    this.#context.counters.retries += 1;
    this.#context.observe(failure);
  };
}
