import type { KeyStoreErrorCode } from "./errors.ts";
import type { Change, RecordReader } from "./records.ts";
import type { CollectionUsage, KeyStoreStats } from "./stats.ts";

/** Whether records outlive the process that wrote them. */
export type Persistence = "durable" | "volatile";

/**
 * What running on a store is called: `production`, durable and shared by
 * machines; `development`, durable on this disk; `ephemeral`, gone with this
 * process.
 */
export type KeyStoreMode = "production" | "development" | "ephemeral";

/** A Matrix device: a user id and one of that user's device ids. */
export interface DeviceRef {
  /** 1 to 255 bytes of UTF-8, such as `@bot:example.org`. */
  readonly userId: string;
  /** 1 to 255 bytes of UTF-8, such as `JLAFKJWSCS`. */
  readonly deviceId: string;
}

/** Who holds a device's lease. */
export interface LeaseHolder {
  /** Random, new with every opening: the guard of every commit. */
  readonly id: string;
  /** The host's name, as the holder knows it. */
  readonly host: string;
  /** The holder's process id on that host. */
  readonly pid: number;
  /** What the program called itself; empty where it did not. */
  readonly label: string;
}

/** What is known of the connection to the database. */
export type KeyStoreStatus =
  /** `init()` has not answered yet. */
  | { readonly state: "new" }
  | { readonly state: "ready"; readonly since: Date }
  | {
      readonly state: "unavailable";
      /** For people: what is wrong, without secrets. */
      readonly reason: string;
      readonly code: KeyStoreErrorCode;
      readonly since: Date;
    }
  | { readonly state: "closed" };

/**
 * What moves between stores make of a device: `active`, it can be opened;
 * `moving`, it is being moved away, and opens only to finish that; `incoming`,
 * it is a copy that is not complete; `moved`, another store has it for good.
 */
export type DeviceStatus = "active" | "moving" | "incoming" | "moved";

/** The other end of a move. */
export interface MovePeer {
  /** The adapter: `"postgres"`, … */
  readonly kind: string;
  /** The id that the store was given when it was installed: {@link EngineInfo.storeId}. */
  readonly storeId: string;
}

/** What a move has made of a device. */
export interface DeviceMove {
  readonly status: DeviceStatus;
  /** Random, new with every move, and the same at both ends. */
  readonly id: string;
  /** Where an `active` or `incoming` device comes from, or a `moving` or `moved` one goes. */
  readonly peer: MovePeer;
}

/** How a device is opened. */
export interface OpenDeviceOptions {
  /** What to do about a device that is not in the store. Default: `"if-missing"`. */
  readonly create?: "if-missing" | "never" | undefined;
  /**
   * What to do about a lease that another holder has: wait for it, fail at
   * once, or take it and fence its holder. Default: `"wait"`.
   */
  readonly lease?: "wait" | "fail" | "take-over" | undefined;
  /** How long to wait for a lease, in milliseconds. Default: 60,000. */
  readonly waitMs?: number | undefined;
  /** Ends the wait: `openDevice` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Opens the device although it, or the database, has gone back to an older
   * state, or may have: a warning is logged, and what was lost is lost. Its
   * ratchets must not be used again: outbound Megolm sessions have to be
   * discarded, and Olm sessions cannot be repaired. Default: `false`.
   */
  readonly acceptRollback?: boolean | undefined;
}

/** How a device is opened by a move. */
export interface OpenForMoveOptions extends Omit<OpenDeviceOptions, "create" | "acceptRollback"> {
  /** What a device is marked as that is not in the store. Default: it is not made. */
  readonly created?: DeviceMove | undefined;
}

/** A device that a move has open, at either end. */
export interface MovableDevice extends DeviceStore {
  /** What moves have made of the device; `undefined` where none ever did. */
  readonly move: DeviceMove | undefined;
  /**
   * One durable commit that sets `move` and, where it is given, another
   * device id, which no device of this user has: that is how one is set aside.
   */
  mark(move: DeviceMove | undefined, deviceId?: string): Promise<void>;
}

/** One device as the store lists it. */
export interface DeviceSummary extends DeviceRef {
  readonly epoch: bigint;
  readonly revision: bigint;
  /** Who has the device open; `undefined` where nobody has, or the lease has run out. */
  readonly holder: LeaseHolder | undefined;
  readonly records: number;
  /** The bytes of all keys and values. */
  readonly bytes: number;
  readonly status: DeviceStatus;
}

/**
 * A key store holds the end-to-end-encryption state of many devices.
 *
 * Rules that hold for every method:
 *
 * - **Unavailable is not empty.** Before `init()` has answered true, and after
 *   it last answered false, every method is safe to call and says that there is
 *   nothing to be had: `null`, `[]`, `false`, basic stats. After it answered
 *   true a method that cannot reach the database throws; it never answers as
 *   if nothing were stored.
 * - **Failure is a {@link KeyStoreError}** with a stable `code`. After `close()`
 *   every method but `stats()` and `close()` throws `ERR_KEY_STORE_CLOSED`.
 * - **Nothing is retried for ever.** Every method has a time limit, an option
 *   of the adapter.
 */
export interface KeyStore extends AsyncDisposable {
  /** Which adapter this is: `"postgres"`, `"sqlite"`, `"memory"`, … */
  readonly kind: string;
  /** What the engine is called in log lines: `"PostgreSQL"`. */
  readonly name: string;
  readonly persistence: Persistence;
  /** What running on this store is called. */
  readonly mode: KeyStoreMode;
  /** What is known now, without asking the database. */
  readonly status: KeyStoreStatus;
  /** The id that the store got when it was installed, shared by copies of it; `undefined` until it was ready once. */
  readonly storeId: string | undefined;

  /**
   * Connects, checks the server and brings the schema up to date. Answers
   * whether the store is ready; never throws for a database that cannot be
   * used, however it fails: the reason is in {@link status}. May be called
   * again at any time, to look again; calls made meanwhile share one answer.
   *
   * @throws `ERR_KEY_STORE_CLOSED`
   */
  init(): Promise<boolean>;

  /**
   * Opens a device: takes its lease, raises its epoch, and so fences whoever
   * had it before. `null` where the store is unavailable.
   *
   * @throws `ERR_KEY_STORE_LEASE_HELD` where another holder has the device and
   * kept it for `waitMs`; `ERR_KEY_STORE_ROLLBACK` where the device is behind a
   * state that was acknowledged, or the database may be (nothing is written then);
   * `ERR_KEY_STORE_MOVING` where a move of the device is under way, `ERR_KEY_STORE_MOVED`
   * where another store has it; `ERR_KEY_STORE_DEVICE_NOT_FOUND` with `create: "never"`;
   * `ERR_KEY_STORE_UNAVAILABLE`, `ERR_KEY_STORE_INVALID_ARGUMENT`
   */
  openDevice(device: DeviceRef, options?: OpenDeviceOptions): Promise<DeviceStore | null>;

  /**
   * Opens a device for `moveDevice` of `@holdfast/key-store-move`, which is what
   * programs call: whatever a move has made of it. `null` where the store is unavailable.
   *
   * @throws as {@link openDevice}; `ERR_KEY_STORE_DEVICE_NOT_FOUND` without `created`
   */
  openForMove(device: DeviceRef, options?: OpenForMoveOptions): Promise<MovableDevice | null>;

  /**
   * All devices, by user id and device id in the order of their UTF-8 bytes;
   * `[]` where the store is unavailable.
   *
   * @throws `ERR_KEY_STORE_UNAVAILABLE` where the database cannot be reached any more
   */
  listDevices(): Promise<DeviceSummary[]>;

  /**
   * Deletes a device and all its records, for good. Answers whether there was
   * one; `false` where the store is unavailable.
   *
   * @throws `ERR_KEY_STORE_LEASE_HELD` where somebody has the device open; `ERR_KEY_STORE_UNAVAILABLE`
   */
  deleteDevice(device: DeviceRef): Promise<boolean>;

  /** The store's figures. Never throws; without `usage` where the database cannot be asked. */
  stats(): Promise<KeyStoreStats>;

  /**
   * Closes every device store, then the connection. Idempotent; waits for work
   * in flight, batches included, however long their work takes.
   *
   * @throws `ERR_KEY_STORE_INVALID_ARGUMENT` when called from inside a batch of one of its devices
   */
  close(): Promise<void>;
}

/**
 * One device's part of a key store, open for one writer: collections of
 * records, key bytes to value bytes, ordered bytewise.
 *
 * Rules that hold for every method:
 *
 * - **Fenced.** Every commit is refused unless this store still has the
 *   device's lease, in the statement that writes.
 * - **The first failure poisons.** After an operation has failed against the
 *   database, or its outcome stayed unknown, every later one rejects with
 *   `ERR_KEY_STORE_POISONED`, whose `cause` is the first failure. Close the
 *   store and open the device again. Arguments outside the contract
 *   (`ERR_KEY_STORE_INVALID_ARGUMENT`) change nothing and do not poison.
 * - **Short cuts are ridden out.** A connection that breaks is retried inside
 *   the operation's time limit; a commit is never applied twice.
 * - Reads see every commit that has resolved and, while a batch runs, what was
 *   committed in it.
 */
export interface DeviceStore extends RecordReader, AsyncDisposable {
  readonly device: DeviceRef;
  /** The fencing token: grows with every opening. */
  readonly epoch: bigint;
  /** Grows by one with every durable commit. */
  readonly revision: bigint;
  /** Aborts when this store is poisoned, with the first failure as its reason. */
  readonly failed: AbortSignal;

  /** The value of a key; `undefined` where there is no such record. */
  get(collection: string, key: Uint8Array): Promise<Uint8Array | undefined>;

  /**
   * The collections of this device that have a record, by name in the order of
   * their UTF-8 bytes, as of the last durable commit: by counters that commits
   * keep, without a scan. Fails as reads do.
   */
  collections(): Promise<CollectionUsage[]>;

  /**
   * Applies changes in order, as one: all of them are durable when this
   * resolves. When it rejects none of them is, except after
   * `ERR_KEY_STORE_UNAVAILABLE`: then the outcome is unknown until the device is
   * opened again, and still all or nothing. While a batch runs, it resolves as
   * soon as the batch has them. No changes: no commit. An `Overlay` is
   * handed over whole: it must not be used afterwards.
   *
   * @throws `ERR_KEY_STORE_FENCED`, `ERR_KEY_STORE_ROLLBACK`,
   * `ERR_KEY_STORE_DISK_FULL`, `ERR_KEY_STORE_UNAVAILABLE`, …
   */
  commit(changes: Iterable<Change>): Promise<void>;

  /**
   * Runs `work`; every commit made meanwhile, by whomever, becomes part of one
   * durable commit when `work` has settled, resolved or rejected. Then settles
   * as `work` did. Where that commit or anything else fails against the
   * database, the batch rejects with that failure at once, whether `work` has
   * settled or not; its changes are then as those of a failed `commit`. One
   * batch at a time: others wait.
   *
   * @throws `ERR_KEY_STORE_INVALID_ARGUMENT` when called from inside a batch
   */
  batch<T>(work: () => Promise<T>): Promise<T>;

  /**
   * Waits for work in flight, batches included, and gives the lease back.
   * Idempotent; a lease that cannot be given back runs out by itself.
   *
   * @throws `ERR_KEY_STORE_INVALID_ARGUMENT` when called from inside a batch of its own
   */
  close(): Promise<void>;
}
