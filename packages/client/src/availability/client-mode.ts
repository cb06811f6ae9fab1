import { isKeyStoreError, type KeyStoreMode } from "@holdfast/key-store-core";
import { isMatrixClientError, MatrixClientError } from "../errors.ts";

/**
 * What serves the client's keys now: the mode of the store, or
 * `"waiting"`: encryption is paused, the store that was asked for has not been there yet;
 * `"paused"`: encryption is paused, the store has gone away or is full, or another process has the device open;
 * `"off"`: encryption has ended for this process.
 */
export type ClientMode = KeyStoreMode | "waiting" | "paused" | "off";

/** That the mode changed, and why. */
export interface ModeEvent {
  readonly mode: ClientMode;
  readonly previous: ClientMode | undefined;
  /** Why encryption is paused or off, and what to do; `undefined` where it runs. */
  readonly reason: string | undefined;
  /** The failure behind it: a `KeyStoreError`, or a `MatrixClientError` such as `IDENTITY_CONFLICT`. */
  readonly error: unknown;
}

/** What is to be done about a store that failed, or a device that could not be opened on it. */
export type Remedy =
  /** Try again, with pauses. */
  | "probe"
  /** Nothing here mends it: encryption ends for this process. */
  | "off";

/** A failure's remedy: only what may pass by itself is tried again. */
export function remedyFor(error: unknown): Remedy {
  if (isMatrixClientError(error)) return error.code === "HOMESERVER_UNREACHABLE" ? "probe" : "off";
  if (!isKeyStoreError(error)) return "off";
  switch (error.code) {
    case "ERR_KEY_STORE_UNAVAILABLE":
    case "ERR_KEY_STORE_LEASE_HELD":
    case "ERR_KEY_STORE_POISONED":
    case "ERR_KEY_STORE_DISK_FULL":
      return "probe";
    default:
      return "off";
  }
}

/** Whether a failure says that a fallback does not hold this device's keys, and another store does. */
export function isElsewhere(error: unknown): boolean {
  return (
    isMatrixClientError(error, "IDENTITY_CONFLICT") ||
    isKeyStoreError(error, "ERR_KEY_STORE_MOVED") ||
    isKeyStoreError(error, "ERR_KEY_STORE_MOVING")
  );
}

/** The refusal of everything that needs keys while there are none. */
export function encryptionUnavailable(reason: string | undefined): MatrixClientError {
  return new MatrixClientError(
    "ENCRYPTION_UNAVAILABLE",
    `encryption is unavailable: ${reason ?? "the client is not connected"}`,
  );
}
