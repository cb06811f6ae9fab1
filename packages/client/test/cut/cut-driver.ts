import {
  type AcquireOutcome,
  type AcquireRequest,
  type DeviceDriver,
  type KeyStoreDriver,
  KeyStoreError,
} from "@holdfast/key-store-core";

/** What a call of the crypto engine asks a device's driver for. */
export type Operation = "getMany" | "list" | "count" | "commit";

/** Where the store is cut, and how. */
export interface CutPoint {
  /** How many operations of the call are carried out before. */
  readonly after: number;
  /** The operation that stood there when nothing was cut. */
  readonly operation: Operation;
  /** The request that never arrives, or the answer to one that was carried out. */
  readonly lost: "request" | "answer";
  /** Whether the store stays away, or only this one operation fails. */
  readonly afterwards: "gone" | "back";
}

/** A point as a test's message tells it. */
export function pointName({ after, operation, lost, afterwards }: CutPoint): string {
  return `operation ${after + 1} (${operation}), its ${lost} lost, the store ${afterwards} afterwards`;
}

/**
 * A driver that cuts a call of the engine off at one operation. Unlike a
 * broken connection, which the core rides out, what it does is final.
 */
export class CutDriver implements KeyStoreDriver {
  readonly #inner: KeyStoreDriver;
  readonly #operations: Operation[] = [];
  #armed = false;
  #point: CutPoint | undefined;
  #isCut = false;
  #acknowledged = 0;
  #landed: Promise<unknown> | undefined;

  constructor(inner: KeyStoreDriver) {
    this.#inner = inner;
  }

  get kind() {
    return this.#inner.kind;
  }
  get name() {
    return this.#inner.name;
  }
  get persistence() {
    return this.#inner.persistence;
  }
  get mode() {
    return this.#inner.mode;
  }

  /** Counts operations from now on, and cuts at the point; only counts where there is none. */
  arm(point: CutPoint | undefined): void {
    this.#armed = true;
    this.#point = point;
  }

  /** The operations asked for since it was armed. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** Whether the point was reached. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** How many commits have been answered since it was armed. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** What became of the commit whose answer was lost, once it is over; `undefined` where none was. */
  get landed(): Promise<unknown> | undefined {
    return this.#landed;
  }

  async carryOut<T>(operation: Operation, attempt: () => Promise<T>): Promise<T> {
    this.throwIfGone();
    if (this.#armed) this.#operations.push(operation);
    const point = this.#point;
    if (point !== undefined && !this.#isCut && this.#operations.length > point.after) {
      this.#isCut = true;
      if (point.lost === "answer") {
        this.#landed = attempt();
        await this.#landed;
      }
      throw failureOf(operation, point);
    }
    const answer = await attempt();
    if (this.#armed && operation === "commit") this.#acknowledged += 1;
    return answer;
  }

  throwIfGone(): void {
    if (this.#isCut && this.#point?.afterwards === "gone") throw gone();
  }

  connect(signal: AbortSignal) {
    return this.#inner.connect(signal);
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    const outcome = await this.#inner.acquire(request);
    return outcome.outcome === "acquired" ? { ...outcome, device: cutDevice(this, outcome.device) } : outcome;
  }

  listDevices() {
    return this.#inner.listDevices();
  }

  deleteDevice(device: Parameters<KeyStoreDriver["deleteDevice"]>[0]) {
    return this.#inner.deleteDevice(device);
  }

  usage() {
    return this.#inner.usage();
  }

  disconnect() {
    return this.#inner.disconnect();
  }
}

/** From here on the device is another process's: final, so that nothing waits for a time limit. */
function gone(): KeyStoreError {
  return new KeyStoreError("ERR_KEY_STORE_FENCED", "the store is gone (injected)");
}

/**
 * What the operation itself fails with. Where the store is gone that is, for a
 * commit, a connection that broke: the core looks what came of it, and then
 * learns the rest.
 */
function failureOf(operation: Operation, { afterwards }: CutPoint): KeyStoreError {
  if (afterwards === "back") {
    return operation === "commit"
      ? new KeyStoreError("ERR_KEY_STORE_DISK_FULL", "no room for the commit (injected)")
      : new KeyStoreError("ERR_KEY_STORE_CORRUPT", "the read failed for good (injected)");
  }
  if (operation !== "commit") return gone();
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the commit had no answer (injected)");
}

/** The code that a call has to fail with when the store is cut there. */
export function expectedCode(point: CutPoint): string {
  // Of a commit whose look fails too nobody can say more than that it is in doubt.
  if (point.afterwards === "gone" && point.operation !== "commit") return gone().code;
  return failureOf(point.operation, point).code;
}

function cutDevice(driver: CutDriver, inner: DeviceDriver): DeviceDriver {
  const whileThere = async <T>(attempt: () => Promise<T>): Promise<T> => {
    driver.throwIfGone();
    return attempt();
  };
  return {
    getMany: (collection, keys) => driver.carryOut("getMany", () => inner.getMany(collection, keys)),
    list: (collection, range, page) => driver.carryOut("list", () => inner.list(collection, range, page)),
    count: (collection, range) => driver.carryOut("count", () => inner.count(collection, range)),
    commit: (guard, changes) => driver.carryOut("commit", () => inner.commit(guard, changes)),
    mark: (guard, mark) => whileThere(() => inner.mark(guard, mark)),
    collections: () => whileThere(() => inner.collections()),
    settle: (holderId) => whileThere(() => inner.settle(holderId)),
    state: () => whileThere(() => inner.state()),
    release: (holderId) => whileThere(() => inner.release(holderId)),
  };
}
