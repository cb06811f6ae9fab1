import type { HeldCommits } from "@holdfast/key-store-conformance";
import type {
  AcquireOutcome,
  AcquireRequest,
  CollectionChanges,
  DeviceDriver,
  DeviceMark,
  DeviceRef,
  DeviceState,
  Guard,
  KeyStoreDriver,
  LeaseHolder,
} from "@holdfast/key-store-core";

/**
 * The locks on the devices' rows that a database server has and memory needs
 * not: with them a commit may stand still in the middle, and others wait.
 */
export class RowLocks {
  readonly #tails = new Map<string, Promise<unknown>>();
  #hold: { reached: () => void; waitedFor: () => void; released: Promise<void> } | undefined;

  /** Runs `work` when nobody else has the row. */
  run<T>(row: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(row);
    if (before !== undefined) this.#hold?.waitedFor();
    const result = (before ?? Promise.resolve()).then(work);
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#tails.set(row, settled);
    settled.then(() => {
      if (this.#tails.get(row) === settled) this.#tails.delete(row);
    });
    return result;
  }

  /** Where a commit stands still, if it is to. */
  async pass(): Promise<void> {
    const hold = this.#hold;
    hold?.reached();
    await hold?.released;
  }

  holdNextCommit(): HeldCommits {
    const reached = Promise.withResolvers<void>();
    const waitedFor = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.#hold = { reached: reached.resolve, waitedFor: waitedFor.resolve, released: released.promise };
    return {
      reached: reached.promise,
      waitedFor: waitedFor.promise,
      release: async () => {
        this.#hold = undefined;
        released.resolve();
      },
    };
  }
}

function rowOf({ userId, deviceId }: DeviceRef): string {
  return JSON.stringify([userId, deviceId]);
}

/** A driver whose hooks take the lock on the device's row before they write it. */
export class LockedDriver implements KeyStoreDriver {
  readonly kind;
  readonly name;
  readonly persistence;
  readonly mode;
  readonly connect;
  readonly listDevices;
  readonly usage;
  readonly disconnect;
  readonly #inner: KeyStoreDriver;
  readonly #locks: RowLocks;

  constructor(inner: KeyStoreDriver, locks: RowLocks) {
    this.#inner = inner;
    this.#locks = locks;
    this.kind = inner.kind;
    this.name = inner.name;
    this.persistence = inner.persistence;
    this.mode = inner.mode;
    this.connect = inner.connect.bind(inner);
    this.listDevices = inner.listDevices.bind(inner);
    this.usage = inner.usage.bind(inner);
    this.disconnect = inner.disconnect.bind(inner);
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    const row = rowOf(request.device);
    const answer = await this.#locks.run(row, () => this.#inner.acquire(request));
    if (answer.outcome !== "acquired") return answer;
    return { ...answer, device: new LockedDevice(answer.device, this.#locks, row) };
  }

  deleteDevice(device: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder> {
    return this.#locks.run(rowOf(device), () => this.#inner.deleteDevice(device));
  }
}

class LockedDevice implements DeviceDriver {
  readonly getMany;
  readonly list;
  readonly count;
  readonly state;
  readonly collections;
  readonly #inner: DeviceDriver;
  readonly #locks: RowLocks;
  readonly #row: string;

  constructor(inner: DeviceDriver, locks: RowLocks, row: string) {
    this.#inner = inner;
    this.#locks = locks;
    this.#row = row;
    this.getMany = inner.getMany.bind(inner);
    this.list = inner.list.bind(inner);
    this.count = inner.count.bind(inner);
    this.state = inner.state.bind(inner);
    this.collections = inner.collections.bind(inner);
  }

  mark(guard: Guard, mark: DeviceMark): Promise<boolean> {
    return this.#locks.run(this.#row, () => this.#inner.mark(guard, mark));
  }

  commit(guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean> {
    return this.#locks.run(this.#row, async () => {
      await this.#locks.pass();
      return this.#inner.commit(guard, changes);
    });
  }

  settle(holderId: string): Promise<DeviceState | undefined> {
    return this.#locks.run(this.#row, () => this.#inner.settle(holderId));
  }

  release(holderId: string): Promise<void> {
    return this.#locks.run(this.#row, () => this.#inner.release(holderId));
  }
}
