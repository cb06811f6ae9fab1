import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { refuseInsideBatchOf } from "./batch.ts";
import { type CacheMemory, cacheMemory } from "./cache.ts";
import { Counters } from "./counters.ts";
import type { AcquireRequest, KeyStoreDriver } from "./driver.ts";
import { DriverDeviceStore } from "./driver-device-store.ts";
import { asKeyStoreError, KeyStoreError } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import type {
  DeviceRef,
  DeviceStore,
  DeviceSummary,
  KeyStore,
  KeyStoreMode,
  KeyStoreStatus,
  LeaseHolder,
  MovableDevice,
  OpenDeviceOptions,
  OpenForMoveOptions,
  Persistence,
} from "./key-store.ts";
import { HighWaterMarks } from "./marks.ts";
import { type CompleteOptions, type KeyStoreOptions, keyStoreOptions } from "./options.ts";
import { leaseHeld, rolledBack } from "./refusal.ts";
import { retrying } from "./retry.ts";
import { loggerOf, logUnavailable } from "./safe-logger.ts";
import type { EngineInfo, KeyStoreStats, KeyStoreUsage } from "./stats.ts";
import { type LeaseContext, takeLease } from "./take-lease.ts";
import { within } from "./timing.ts";
import { checkDevice, checkOneOf, checkOptions, checkSignal, invalid } from "./validate.ts";

/**
 * The {@link KeyStore} over a driver. Adapters extend it with a constructor
 * that makes their driver; everything else about a key store is here.
 */
export class DriverKeyStore implements KeyStore {
  readonly #driver: KeyStoreDriver;
  readonly #options: CompleteOptions;
  readonly #counters = new Counters();
  readonly #cache: CacheMemory | undefined;
  readonly #openStores = new Set<DriverDeviceStore>();
  readonly #inFlight = new InFlight();
  readonly #marks: HighWaterMarks;
  readonly #leases: LeaseContext;
  #status: KeyStoreStatus = Object.freeze({ state: "new" });
  /** What the last `init()` answered: whether failures are told or absence is. */
  #initialised = false;
  #engine: EngineInfo | undefined;
  #connecting: Promise<boolean> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws `ERR_KEY_STORE_CONFIG` for an option outside its range */
  constructor(driver: KeyStoreDriver, options: KeyStoreOptions = {}) {
    this.#driver = driver;
    this.#options = keyStoreOptions(options);
    loggerOf.set(this, options.logger);
    this.#cache = cacheMemory(this.#options.cacheBytes);
    this.#marks = new HighWaterMarks(this.#options, () => this.storeId);
    this.#leases = {
      driver,
      logger: this.#options.logger,
      call: (what, hook) => this.#call(what, hook),
      throwIfClosed: () => this.#throwIfClosed(),
    };
  }

  get kind(): string {
    return this.#driver.kind;
  }

  get name(): string {
    return this.#driver.name;
  }

  get persistence(): Persistence {
    return this.#driver.persistence;
  }

  get mode(): KeyStoreMode {
    return this.#driver.mode;
  }

  get status(): KeyStoreStatus {
    return this.#status;
  }

  get storeId(): string | undefined {
    return this.#engine?.storeId;
  }

  async init(): Promise<boolean> {
    this.#throwIfClosed();
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async openDevice(device: DeviceRef, options: OpenDeviceOptions = {}): Promise<DeviceStore | null> {
    const { create = "if-missing", acceptRollback = false } = checkOptions(options);
    checkOneOf("create", create, "if-missing", "never");
    if (typeof acceptRollback !== "boolean") invalid("acceptRollback is true or false");
    return this.#openAs(device, options, { create: create === "if-missing", acceptRollback });
  }

  async openForMove(device: DeviceRef, options: OpenForMoveOptions = {}): Promise<MovableDevice | null> {
    const { created } = checkOptions(options);
    return this.#openAs(device, options, { create: created !== undefined, created, forMove: true });
  }

  async #openAs(
    device: DeviceRef,
    options: Omit<OpenDeviceOptions, "create">,
    how: Omit<AcquireRequest, "device" | "holder" | "force">,
  ): Promise<DriverDeviceStore | null> {
    this.#throwIfClosed();
    const ref = checkDevice(device);
    const { lease = "wait", waitMs = 60_000, signal } = options;
    checkOneOf("lease", lease, "wait", "fail", "take-over");
    if (typeof waitMs !== "number" || !(waitMs >= 0)) invalid("waitMs is a number of milliseconds, 0 or more");
    checkSignal(signal)?.throwIfAborted();
    if (!this.#initialised) return null;

    const request = { ...how, device: ref, holder: this.#newHolder(), force: lease === "take-over" };
    return this.#inFlight.track(this.#open(request, lease === "wait" ? waitMs : 0, signal));
  }

  async #open(request: AcquireRequest, waitMs: number, signal: AbortSignal | undefined): Promise<DriverDeviceStore> {
    const { device, holder } = request;
    const known = await this.#marks.of(device);
    const acquired = await takeLease(this.#leases, { ...request, known }, waitMs, signal);
    const { epoch, revision } = acquired;
    // An opening that raises no epoch is one from before: its ratchets must not be used again.
    const isBack = known !== undefined && (revision < known.revision || epoch <= known.epoch);
    if (isBack && request.acceptRollback !== true) {
      await acquired.device.release(holder.id).catch((error) => this.#observe(asKeyStoreError(error)));
      throw rolledBack(device, acquired, known);
    }
    await this.#marks.opened(device, { epoch, revision }, request.acceptRollback === true);
    const store: DriverDeviceStore = new DriverDeviceStore({
      ...acquired,
      driver: acquired.device,
      device,
      holder,
      operationTimeoutMs: this.#options.operationTimeoutMs,
      commitTimeoutMs: this.#options.commitTimeoutMs,
      counters: this.#counters,
      // What a move reads, it reads once.
      cache: request.forMove ? undefined : this.#cache,
      acknowledged: (known) => this.#marks.acknowledged(device, known),
      // What has the name from now on is another device.
      renamed: () => this.#marks.forget(device),
      observe: (failure) => this.#observe(failure),
      onClose: async () => {
        await this.#marks.flush(device);
        this.#openStores.delete(store);
      },
    });
    this.#openStores.add(store);
    if (this.#closing !== undefined) {
      await store.close();
      this.#throwIfClosed();
    }
    return store;
  }

  async listDevices(): Promise<DeviceSummary[]> {
    this.#throwIfClosed();
    if (!this.#initialised) return [];
    return this.#inFlight.track(this.#call("listing devices", () => this.#driver.listDevices()));
  }

  async deleteDevice(device: DeviceRef): Promise<boolean> {
    this.#throwIfClosed();
    const ref = checkDevice(device);
    if (!this.#initialised) return false;
    let attempts = 0;
    const deleting = this.#call("deleting a device", () => {
      attempts += 1;
      return this.#driver.deleteDevice(ref);
    });
    const outcome = await this.#inFlight.track(deleting);
    if (typeof outcome === "object") throw leaseHeld(ref, outcome, "and a device that is open cannot be deleted");
    await this.#inFlight.track(this.#marks.forget(ref));
    // After an attempt whose answer was lost, a device that is gone is taken for one that it deleted.
    return outcome === "deleted" || attempts > 1;
  }

  async stats(): Promise<KeyStoreStats> {
    const { kind, persistence, mode } = this;
    const usage = await this.#inFlight.track(this.#usage());
    const counters = this.#counters.snapshot();
    return { kind, persistence, mode, status: this.#status, counters, engine: this.#engine, usage };
  }

  async close(): Promise<void> {
    for (const store of this.#openStores) refuseInsideBatchOf(store, "a key store was closed");
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #connect(): Promise<boolean> {
    const { connectTimeoutMs } = this.#options;
    const abort = new AbortController();
    try {
      this.#engine = await within(connectTimeoutMs, this.#driver.name, this.#driver.connect(abort.signal));
    } catch (error) {
      abort.abort(error);
      const failure = asKeyStoreError(error);
      this.#counters.failed(failure);
      this.#initialised = false;
      this.#unavailable(failure);
      return false;
    }
    this.#initialised = true;
    this.#ready();
    return true;
  }

  /** One call of the driver that may be made again, within the time limit of an operation. */
  async #call<T>(what: string, hook: () => Promise<T>): Promise<T> {
    try {
      const answer = await retrying(what, this.#options.operationTimeoutMs, hook, (failure) => {
        this.#counters.retries += 1;
        this.#observe(failure);
        this.#throwIfClosed();
      });
      this.#observe();
      return answer;
    } catch (error) {
      const failure = asKeyStoreError(error);
      this.#observe(failure);
      throw failure;
    }
  }

  async #usage(): Promise<KeyStoreUsage | undefined> {
    if (!this.#initialised || this.#closing !== undefined) return undefined;
    try {
      return await within(this.#options.operationTimeoutMs, "reading the stats", this.#driver.usage());
    } catch (error) {
      this.#observe(asKeyStoreError(error));
      return undefined;
    }
  }

  async #close(): Promise<void> {
    await this.#connecting;
    await this.#inFlight.drained();
    await Promise.all(Array.from(this.#openStores, (store) => store.close()));
    await this.#driver.disconnect();
    this.#status = Object.freeze({ state: "closed" });
  }

  /** What an operation says of the database: that it is there, or why it failed. */
  #observe(failure?: KeyStoreError): void {
    if (this.#closing !== undefined) return;
    if (failure === undefined) {
      if (this.#status.state === "unavailable" && this.#initialised) this.#ready();
      return;
    }
    this.#counters.failed(failure);
    if (failure.code === "ERR_KEY_STORE_UNAVAILABLE" && this.#status.state === "ready") this.#unavailable(failure);
  }

  #ready(): void {
    if (this.#status.state === "ready") return;
    this.#status = Object.freeze({ state: "ready", since: new Date() });
    if (this.persistence === "durable")
      this.#options.logger.info(`${this.name} key store ready: encryption keys persist`);
  }

  #unavailable({ message: reason, code }: KeyStoreError): void {
    const before = this.#status;
    if (before.state === "unavailable" && before.reason === reason) return;
    const since = before.state === "unavailable" ? before.since : new Date();
    this.#status = Object.freeze({ state: "unavailable", reason, code, since });
    logUnavailable(this.#options.logger, this.name, code, reason);
  }

  #newHolder(): LeaseHolder {
    return Object.freeze({ id: randomUUID(), host: hostname(), pid: process.pid, label: this.#options.label });
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) {
      throw new KeyStoreError("ERR_KEY_STORE_CLOSED", `the ${this.name} key store is closed`);
    }
  }
}
