import type { LeaseHolder, MovePeer } from "./key-store.ts";

/** A stable code: programs decide by it, messages are for people. */
export type KeyStoreErrorCode =
  /** The database cannot be reached, or did not answer in time. */
  | "ERR_KEY_STORE_UNAVAILABLE"
  /** An option, address or environment variable is malformed. */
  | "ERR_KEY_STORE_CONFIG"
  /** Another process has taken the device over; this one must not write again. */
  | "ERR_KEY_STORE_FENCED"
  /** Another process holds the device's lease. */
  | "ERR_KEY_STORE_LEASE_HELD"
  /** An earlier operation on this device store failed; open the device again. */
  | "ERR_KEY_STORE_POISONED"
  /** The database holds an older state than one it has acknowledged, or may do so. */
  | "ERR_KEY_STORE_ROLLBACK"
  /** A move between stores has the device: it opens when `moveDevice` has finished. */
  | "ERR_KEY_STORE_MOVING"
  /** The device was moved to another store, for good. */
  | "ERR_KEY_STORE_MOVED"
  /** Both ends of a move hold the device, each with a content of its own. */
  | "ERR_KEY_STORE_CONFLICT"
  /** Stored bytes are not what was written. */
  | "ERR_KEY_STORE_CORRUPT"
  /** The key or passphrase does not open what is stored. */
  | "ERR_KEY_STORE_WRONG_KEY"
  /** The database was written by a later version of this library. */
  | "ERR_KEY_STORE_SCHEMA_TOO_NEW"
  /** There is no room left for the commit. */
  | "ERR_KEY_STORE_DISK_FULL"
  /** The key store or device store was closed. */
  | "ERR_KEY_STORE_CLOSED"
  /** No such device, and `create: "never"` was asked for. */
  | "ERR_KEY_STORE_DEVICE_NOT_FOUND"
  /** An argument is outside the contract; nothing was done. */
  | "ERR_KEY_STORE_INVALID_ARGUMENT";

/**
 * With what codes the same call may succeed later without anybody changing
 * anything. This list decides {@link KeyStoreError.retryable}; nothing else does.
 */
const RETRYABLE: readonly KeyStoreErrorCode[] = ["ERR_KEY_STORE_UNAVAILABLE", "ERR_KEY_STORE_LEASE_HELD"];

/** What a {@link KeyStoreError} carries beside its code and message. */
export interface KeyStoreErrorOptions {
  /** What lies behind it: the driver's own error, usually. */
  readonly cause?: unknown;
  /** Who holds the lease. */
  readonly holder?: LeaseHolder | undefined;
  /** The other end of a move. */
  readonly peer?: MovePeer | undefined;
}

/** The only class of error that a key store throws. */
export class KeyStoreError extends Error {
  override readonly name = "KeyStoreError";
  readonly code: KeyStoreErrorCode;
  /** Whether the same call may succeed later, with nothing changed by its caller. */
  readonly retryable: boolean;
  /** Who holds the lease, where the failure is about one and the holder is known. */
  readonly holder: LeaseHolder | undefined;
  /** Where a device that a move has is going, or comes from; `undefined` for every other failure. */
  readonly peer: MovePeer | undefined;

  constructor(code: KeyStoreErrorCode, message: string, options: KeyStoreErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = RETRYABLE.includes(code);
    this.holder = options.holder;
    this.peer = options.peer;
  }
}

/** Whether `error` is a {@link KeyStoreError}, with this code if one is given. */
export function isKeyStoreError(error: unknown, code?: KeyStoreErrorCode): error is KeyStoreError {
  // By name and code, not by class: two copies of this package may be installed side by side.
  const candidate = error as Partial<KeyStoreError> | null | undefined;
  return (
    candidate instanceof Error &&
    candidate.name === "KeyStoreError" &&
    typeof candidate.code === "string" &&
    (code === undefined || candidate.code === code)
  );
}

/** What an error says, whatever was thrown. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A failed connection to a name with several addresses has its reasons inside, and no message.
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error.message || error.name;
}

/** `error` itself, or what a store says of a failure that has no code: that it cannot serve. */
export function asKeyStoreError(error: unknown): KeyStoreError {
  if (isKeyStoreError(error)) return error;
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", messageOf(error), { cause: error });
}
