import type { DeviceState, Guard, HighWaterMark } from "./driver.ts";
import { KeyStoreError } from "./errors.ts";
import type { DeviceMove, DeviceRef, LeaseHolder, MovePeer } from "./key-store.ts";

/** A device in messages. */
export function nameOf(device: DeviceRef): string {
  return `device ${device.deviceId} of ${device.userId}`;
}

/** A holder in messages. */
export function holderName(holder: LeaseHolder): string {
  return `process ${holder.pid} on ${holder.host}${holder.label === "" ? "" : ` (${holder.label})`}`;
}

/** Why a lease was not given. */
export function leaseHeld(device: DeviceRef, holder: LeaseHolder, more: string): KeyStoreError {
  const message = `${holderName(holder)} has ${nameOf(device)} open${more === "" ? "" : `, ${more}`}`;
  return new KeyStoreError("ERR_KEY_STORE_LEASE_HELD", message, { holder });
}

/** Whether a row is behind what is known of it: what a driver asks before it takes a device. */
export function isBehind(found: HighWaterMark, known: HighWaterMark | undefined): boolean {
  return known !== undefined && (found.revision < known.revision || found.epoch < known.epoch);
}

/** That the database is behind what it has acknowledged, or may be. */
export function rolledBack(
  device: DeviceRef,
  found: HighWaterMark,
  known: HighWaterMark | undefined,
  reason?: string,
): KeyStoreError {
  const what = found.epoch === 0n ? "is gone" : `is at revision ${found.revision} (epoch ${found.epoch})`;
  const why =
    reason ??
    `${nameOf(device)} ${what}, but revision ${known?.revision} (epoch ${known?.epoch}) was acknowledged: the database was restored from a backup or failed over to a replica that lags, or somebody deleted the device, or moved it away and back`;
  const message = `${why}; do not go on with this device: log in as a new one, or, where nothing was lost, open it with acceptRollback`;
  return new KeyStoreError("ERR_KEY_STORE_ROLLBACK", message);
}

/** The other end of a move in messages. */
export function peerName({ kind, storeId }: MovePeer): string {
  return `the ${kind} key store ${storeId}`;
}

/** Why a device that a move has, or had, is not opened. */
export function movedAway(device: DeviceRef, { status, peer }: DeviceMove): KeyStoreError {
  const name = nameOf(device);
  if (status === "moved") {
    const message = `${name} was moved to ${peerName(peer)}: open it there; this copy is out of date, and must not be used again`;
    return new KeyStoreError("ERR_KEY_STORE_MOVED", message, { peer });
  }
  const course = status === "moving" ? `to ${peerName(peer)}` : `here from ${peerName(peer)}`;
  const message = `${name} is being moved ${course}: call moveDevice again, which finishes what was begun`;
  return new KeyStoreError("ERR_KEY_STORE_MOVING", message, { peer });
}

/** Why a guard was refused, from the row as it is. */
export function refusalOf(device: DeviceRef, guard: Guard, state: DeviceState | undefined): KeyStoreError {
  const name = nameOf(device);
  if (state === undefined) {
    return new KeyStoreError("ERR_KEY_STORE_FENCED", `${name} is no longer in the key store: somebody deleted it`);
  }
  if (state.revision < guard.revision || state.epoch < guard.epoch) return rolledBack(device, state, guard);
  const { holder } = state;
  const who = holder === undefined || holder.id === guard.holderId ? "another opening" : holderName(holder);
  const message = `${who} has taken over ${name} (epoch ${state.epoch}, this one has ${guard.epoch}): a device has one writer`;
  return new KeyStoreError("ERR_KEY_STORE_FENCED", message, { holder });
}
