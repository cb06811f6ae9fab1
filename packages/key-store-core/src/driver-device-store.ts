import { AsyncLocalStorage } from "node:async_hooks";
import { type CacheMemory, ReadCache } from "./cache.ts";
import type { Counters } from "./counters.ts";
import type { CollectionChanges, DeviceDriver, DeviceState, Guard } from "./driver.ts";
import { asKeyStoreError, isKeyStoreError, KeyStoreError, messageOf } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import type { DeviceRef, DeviceStore, LeaseHolder } from "./key-store.ts";
import { Overlay } from "./overlay.ts";
import { toByteRange } from "./ranges.ts";
import type { Change, KeyRange, Page, RecordReader, StoredRecord } from "./records.ts";
import { retrying } from "./retry.ts";
import { Backoff, Deadline, Mutex, within } from "./timing.ts";
import { checkChange, checkCollection, checkKey, checkPage, checkRange, invalid } from "./validate.ts";

/** How long a device store that is closed tries to give its lease back, in milliseconds. */
const RELEASE_MS = 3_000;

/** What a device store needs of its key store. */
export interface DeviceStoreContext {
  readonly device: DeviceRef;
  readonly holder: LeaseHolder;
  readonly epoch: bigint;
  readonly revision: bigint;
  readonly driver: DeviceDriver;
  readonly operationTimeoutMs: number;
  readonly commitTimeoutMs: number;
  readonly counters: Counters;
  readonly cache: CacheMemory | undefined;
  /** Told of every failure and, with no argument, of every success against the database. */
  readonly observe: (failure?: KeyStoreError) => void;
  readonly onClose: () => void;
}

interface Batch {
  readonly overlay: Overlay;
  /** Whether commits still join it; afterwards it is only read, until it is durable. */
  open: boolean;
}

/** In which batch the code that runs was called from, to refuse a batch in a batch, which would wait for itself. */
const runningIn = new AsyncLocalStorage<Batch>();

/** The {@link DeviceStore} over a driver: batches, cache, retries, fencing and poisoning are here, for all adapters. */
export class DriverDeviceStore implements DeviceStore {
  readonly device: DeviceRef;
  readonly #context: DeviceStoreContext;
  readonly #reader: RecordReader;
  readonly #cache: ReadCache | undefined;
  readonly #failed = new AbortController();
  readonly #commits = new Mutex();
  readonly #batches = new Mutex();
  readonly #inFlight = new InFlight();
  #epoch: bigint;
  #revision: bigint;
  #batch: Batch | undefined;
  #failure: KeyStoreError | undefined;
  #closing: Promise<void> | undefined;

  constructor(context: DeviceStoreContext) {
    this.#context = context;
    this.device = context.device;
    this.#epoch = context.epoch;
    this.#revision = context.revision;
    const direct = new DirectReader(context.driver, (what, read) => this.#read(what, read));
    this.#cache = context.cache && new ReadCache(direct, context.cache, context.counters);
    this.#reader = this.#cache ?? direct;
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
    keys.forEach(checkKey);
    return this.#track((reader) => reader.getMany(collection, keys));
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

  async commit(changes: readonly Change[]): Promise<void> {
    changes.forEach(checkChange);
    this.#usable();
    if (changes.length === 0) return;
    if (this.#batch?.open) {
      for (const change of changes) this.#batch.overlay.apply(change);
      return;
    }
    const overlay = new Overlay(this.#reader);
    for (const change of changes) overlay.apply(change);
    await this.#inFlight.track(this.#commits.run(() => this.#write(overlay)));
  }

  async batch<T>(work: () => Promise<T>): Promise<T> {
    const outer = runningIn.getStore();
    if (outer?.open && outer === this.#batch) {
      invalid("a batch was begun inside a batch of the same device store: the outer one is the commit");
    }
    this.#usable();
    return this.#inFlight.track(this.#batches.run(() => this.#runBatch(work)));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #runBatch<T>(work: () => Promise<T>): Promise<T> {
    this.#throwIfPoisoned();
    // Open at once, though commits from before it may still run: work may wait for one that is made from now on.
    const batch: Batch = { overlay: new Overlay(this.#reader), open: true };
    this.#batch = batch;
    const outcome = await this.#settledOrFailed(runningIn.run(batch, async () => work()));
    batch.open = false;
    try {
      // Whoever met the failure inside the batch may have swallowed it: the batch itself tells it.
      if (this.#failure !== undefined || outcome === undefined) throw this.#failure;
      if (!batch.overlay.isEmpty) await this.#commits.run(() => this.#write(batch.overlay));
    } finally {
      this.#batch = undefined;
    }
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  }

  /** How the work of a batch came out; `undefined` as soon as the store has failed, for work may then never settle. */
  #settledOrFailed<T>(work: Promise<T>): Promise<PromiseSettledResult<T> | undefined> {
    const { signal } = this.#failed;
    return new Promise((resolve) => {
      const failed = () => resolve(undefined);
      if (signal.aborted) failed();
      signal.addEventListener("abort", failed, { once: true });
      work
        .then(
          (value) => resolve({ status: "fulfilled", value }),
          (reason) => resolve({ status: "rejected", reason }),
        )
        .finally(() => signal.removeEventListener("abort", failed));
    });
  }

  /** Makes the overlay's changes durable, or poisons. Called by one at a time. */
  async #write(overlay: Overlay): Promise<void> {
    this.#throwIfPoisoned();
    const changes = overlay.reduced();
    const began = performance.now();
    const commit = () => this.#commitOnce(changes);
    try {
      await (this.#cache === undefined ? commit() : this.#cache.writing(changes, commit));
    } catch (error) {
      throw this.#poison(error);
    }
    this.#context.counters.committed(performance.now() - began);
    this.#context.observe();
  }

  /** Moves the revision by exactly one, through broken connections, within the time limit. */
  async #commitOnce(changes: readonly CollectionChanges[]): Promise<void> {
    const { driver, commitTimeoutMs } = this.#context;
    const deadline = new Deadline(commitTimeoutMs);
    // An attempt that hangs on a dead connection must leave time to settle it and to try again.
    const attemptMs = commitTimeoutMs / 3;
    const backoff = new Backoff();
    for (;;) {
      try {
        const limit = Math.min(attemptMs, deadline.remainingMs);
        const applied = await within(limit, "a commit", driver.commit(this.#guard, changes));
        if (!applied) throw await this.#refusal(deadline);
        this.#revision += 1n;
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
    try {
      const look = () => driver.settle(holder.id);
      return this.#settled(await this.#retrying("the look after an uncertain commit", limitMs, look));
    } catch (error) {
      if (!isRetryable(error)) throw error;
      const message = `whether the commit was applied could not be found out: ${messageOf(error)}`;
      throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message, { cause: error });
    }
  }

  #settled(state: DeviceState | undefined): boolean {
    const guard = this.#guard;
    const ours = state?.holder?.id === guard.holderId && state.epoch > guard.epoch;
    if (!ours || (state.revision !== guard.revision && state.revision !== guard.revision + 1n)) {
      throw refusalOf(this.device, guard, state);
    }
    this.#epoch = state.epoch;
    this.#revision = state.revision;
    return state.revision !== guard.revision;
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

  /** Counts a read, and answers from the batch where there is one. */
  #track<T>(read: (reader: RecordReader) => Promise<T>): Promise<T> {
    this.#usable();
    this.#context.counters.reads += 1;
    return this.#inFlight.track(read(this.#batch?.overlay ?? this.#reader));
  }

  /** Throws when nothing may begin any more. While a batch runs that began before `close()`, what it needs still may. */
  #usable(): void {
    this.#throwIfPoisoned();
    if (this.#closing !== undefined && !this.#batch?.open) {
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
      this.#failed.abort(failure);
    }
    return failure;
  }

  async #close(): Promise<void> {
    await this.#inFlight.drained();
    const { driver, holder, operationTimeoutMs, observe, onClose } = this.#context;
    const limitMs = Math.min(operationTimeoutMs, RELEASE_MS);
    try {
      await this.#retrying("giving the lease back", limitMs, () => driver.release(holder.id));
    } catch (error) {
      // The lease runs out by itself; whoever opens the device next waits for that.
      observe(asKeyStoreError(error));
    }
    onClose();
  }
}

/** The reads of a driver, each under the device store's time limit. */
class DirectReader implements RecordReader {
  readonly #driver: DeviceDriver;
  readonly #read: <T>(what: string, read: () => Promise<T>) => Promise<T>;

  constructor(driver: DeviceDriver, read: <T>(what: string, read: () => Promise<T>) => Promise<T>) {
    this.#driver = driver;
    this.#read = read;
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (keys.length === 0) return [];
    return this.#read("a read", () => this.#driver.getMany(collection, keys));
  }

  list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]> {
    return this.#read("a scan", () => this.#driver.list(collection, toByteRange(range), page));
  }

  count(collection: string, range: KeyRange = {}): Promise<number> {
    return this.#read("a count", () => this.#driver.count(collection, toByteRange(range)));
  }
}

function isRetryable(error: unknown): error is KeyStoreError {
  return isKeyStoreError(error, "ERR_KEY_STORE_UNAVAILABLE");
}

/** Why a guard was refused, from the row as it is. */
function refusalOf(device: DeviceRef, guard: Guard, state: DeviceState | undefined): KeyStoreError {
  const name = nameOf(device);
  if (state === undefined) {
    return new KeyStoreError("ERR_KEY_STORE_FENCED", `${name} is no longer in the key store: somebody deleted it`);
  }
  if (state.revision < guard.revision || state.epoch < guard.epoch) {
    const message = `the key store holds ${name} at revision ${state.revision} (epoch ${state.epoch}), but revision ${guard.revision} (epoch ${guard.epoch}) was acknowledged: the database was restored from a backup or failed over to a replica that lags; do not go on with this device`;
    return new KeyStoreError("ERR_KEY_STORE_ROLLBACK", message);
  }
  const { holder } = state;
  const who = holder === undefined || holder.id === guard.holderId ? "another opening" : holderName(holder);
  const message = `${who} has taken over ${name} (epoch ${state.epoch}, this one has ${guard.epoch}): a device has one writer`;
  return new KeyStoreError("ERR_KEY_STORE_FENCED", message, { holder });
}

/** A device in messages. */
export function nameOf(device: DeviceRef): string {
  return `device ${device.deviceId} of ${device.userId}`;
}

/** A holder in messages. */
export function holderName(holder: LeaseHolder): string {
  return `process ${holder.pid} on ${holder.host}${holder.label === "" ? "" : ` (${holder.label})`}`;
}
