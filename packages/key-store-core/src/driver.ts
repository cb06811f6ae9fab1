import type { DeviceMove, DeviceRef, DeviceSummary, KeyStoreMode, LeaseHolder, Persistence } from "./key-store.ts";
import type { Page, StoredRecord } from "./records.ts";
import type { CollectionUsage, EngineInfo, KeyStoreUsage } from "./stats.ts";

/**
 * What an adapter implements. The core calls these hooks with arguments that
 * are valid and complete, never after `disconnect()`, and one `commit`,
 * `settle` or `release` of a device at a time; only where a commit had no
 * answer within its time limit may the next one begin while it still runs. It
 * adds the time limits, retries, status, cache, batches, poisoning and counters.
 *
 * Hooks fail with a `KeyStoreError`: `ERR_KEY_STORE_UNAVAILABLE` means that
 * the same call may be made again, and every other code that it may not.
 */
export interface KeyStoreDriver {
  readonly kind: string;
  readonly name: string;
  readonly persistence: Persistence;
  readonly mode: KeyStoreMode;

  /**
   * Connects, checks that commits will be durable, and migrates the schema.
   * Called again after a failure, and again after a success, to look whether
   * the database is still there. `signal` aborts when the core has stopped
   * waiting; what is under way may then be dropped, and must not linger.
   */
  connect(signal: AbortSignal): Promise<EngineInfo>;

  /**
   * Takes a device's lease in one transaction: if nobody holds it, its time
   * limit is over, or `force` is set, the holder becomes `holder` and the
   * epoch grows by one. A device that is new has epoch 1 and revision 0. Every
   * outcome but `"acquired"` leaves the database as it was; where several fit,
   * it is the first in the order of their declaration.
   */
  acquire(request: AcquireRequest): Promise<AcquireOutcome>;

  /** In the order of the UTF-8 bytes of user id, then device id. */
  listDevices(): Promise<DeviceSummary[]>;

  /** Deletes a device unless its lease is in force: then answers with the holder. */
  deleteDevice(device: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder>;

  usage(): Promise<KeyStoreUsage>;

  /** Called once, when every device has been released. Does not throw. */
  disconnect(): Promise<void>;
}

/** Who wants which device, and how much. */
export interface AcquireRequest {
  readonly device: DeviceRef;
  readonly holder: LeaseHolder;
  readonly create: boolean;
  readonly force: boolean;
  /** Takes the device whatever a move has made of it. Default: `false`, only an active one is taken. */
  readonly forMove?: boolean | undefined;
  /** What a move makes of a device that is new. Default: nothing, it is active. */
  readonly created?: DeviceMove | undefined;
  /** What was acknowledged of the device: where it is behind that, or not there, it is not taken. */
  readonly known?: HighWaterMark | undefined;
  /** Takes the device though it has been rolled back, or may have been. Default: `false`. */
  readonly acceptRollback?: boolean | undefined;
}

/** What a device's row was at the least, as somebody knows who was told so. */
export type HighWaterMark = Pick<DeviceState, "epoch" | "revision">;

/** What came of an {@link AcquireRequest}. */
export type AcquireOutcome =
  /** Somebody else has the lease. */
  | { readonly outcome: "held"; readonly holder: LeaseHolder }
  /** A move between stores has the device, or had it. */
  | { readonly outcome: "moving"; readonly move: DeviceMove }
  /** The device is behind what is known of it, or something else says that the database may have gone back. */
  | {
      readonly outcome: "rolled-back";
      /** As the row is; both 0 where there is none. */
      readonly found: HighWaterMark;
      /** What says so, for people, where it is not the row. */
      readonly reason?: string | undefined;
    }
  | { readonly outcome: "absent" }
  | {
      readonly outcome: "acquired";
      readonly epoch: bigint;
      readonly revision: bigint;
      readonly device: DeviceDriver;
      /** `undefined` where no move was ever marked. */
      readonly move?: DeviceMove | undefined;
    };

/** What a commit requires of the device's row: equality, in all three. */
export interface Guard {
  readonly holderId: string;
  readonly epoch: bigint;
  readonly revision: bigint;
}

/** A device's row as the database has it now. */
export interface DeviceState {
  /** `undefined` after a release. */
  readonly holder: LeaseHolder | undefined;
  readonly epoch: bigint;
  readonly revision: bigint;
}

/** Keys from `start` on and before `end`; no `end` is no bound. The first key of all is empty. */
export interface ByteRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array | undefined;
}

/**
 * What a commit does to one collection. No key is touched twice: the ranges,
 * the deletes and the puts are disjoint, so their order is free. Each list is
 * in bytewise order.
 */
export interface CollectionChanges {
  readonly collection: string;
  /** The collection goes, with every record: the other lists are empty. */
  readonly drop: boolean;
  readonly removed: readonly ByteRange[];
  readonly deletes: readonly Uint8Array[];
  readonly puts: readonly StoredRecord[];
}

/** What {@link DeviceDriver.mark} sets. */
export interface DeviceMark {
  readonly move: DeviceMove | undefined;
  /** Another device id, which no device of this user has: the device is set aside. */
  readonly deviceId?: string | undefined;
}

/** One device's part of the database. */
export interface DeviceDriver {
  getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  list(collection: string, range: ByteRange, page: Page): Promise<StoredRecord[]>;
  count(collection: string, range: ByteRange): Promise<number>;
  /** A record's value, for a driver that has all records at hand and needs nothing to read one: absent from others. */
  peek?(collection: string, key: Uint8Array): Uint8Array | undefined;

  /**
   * If holder, epoch and revision all equal the guard's, applies the changes,
   * moves the revision up by one, durably, and answers true. Otherwise changes
   * nothing and answers false. An `ERR_KEY_STORE_UNAVAILABLE` leaves open
   * which of them came to pass: the core settles it.
   */
  commit(guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean>;

  /**
   * A commit that changes no record: sets what a move makes of the device, and
   * its name where the mark has one. Guarded, answered and settled as
   * {@link commit} is.
   */
  mark(guard: Guard, mark: DeviceMark): Promise<boolean>;

  /** The collections that have a record, by name in the order of their UTF-8 bytes, with the counters that commits keep. */
  collections(): Promise<CollectionUsage[]>;

  /**
   * The look after a commit whose outcome is unknown: takes the lock on the
   * device's row (so that it waits for an attempt that is still running),
   * raises the epoch if `holderId` has the lease (so that an attempt which has
   * not begun is refused), and answers with the row as it is then; `undefined`
   * where the device is gone. Whatever the driver remembers of the device (the
   * numbers of its collections, say) is read again: the commit may have been applied.
   */
  settle(holderId: string): Promise<DeviceState | undefined>;

  /** The row as it is, without a lock: to say why a guard refused. */
  state(): Promise<DeviceState | undefined>;

  /** Gives the lease back, if `holderId` still has it. */
  release(holderId: string): Promise<void>;
}
