import type { DeviceState, Guard } from "./driver.ts";
import { KeyStoreError } from "./errors.ts";
import type { DeviceRef, LeaseHolder } from "./key-store.ts";

/** What a device's row was at the least, as this process knows it: it has been told so. */
export type HighWaterMark = Pick<DeviceState, "epoch" | "revision">;

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

/** That the database is behind what it has acknowledged to this process. */
export function rolledBack(device: DeviceRef, found: HighWaterMark, known: HighWaterMark): KeyStoreError {
  const message = `the key store holds ${nameOf(device)} at revision ${found.revision} (epoch ${found.epoch}), but revision ${known.revision} (epoch ${known.epoch}) was acknowledged: the database was restored from a backup or failed over to a replica that lags; do not go on with this device`;
  return new KeyStoreError("ERR_KEY_STORE_ROLLBACK", message);
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
