import { randomInt } from "node:crypto";
import type { DeviceRef, KeyStore, OpenDeviceOptions } from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import { hasSession } from "./session-store.ts";

/**
 * The one of a user's devices in a key store that has a session, so that a
 * program which starts again goes on as the device that it was; `undefined`
 * where none has. Each device that is looked at is opened and closed again.
 *
 * @throws `MatrixClientError` `CONFIG` where several have: nobody can tell which is meant;
 * `ERR_KEY_STORE_LEASE_HELD`, and what `openDevice` throws
 */
export async function findDevice(
  keyStore: KeyStore,
  userId: string,
  options: Omit<OpenDeviceOptions, "create"> = {},
): Promise<DeviceRef | undefined> {
  const found: DeviceRef[] = [];
  for (const { deviceId } of (await keyStore.listDevices()).filter((device) => device.userId === userId)) {
    const device = { userId, deviceId };
    await using deviceStore = await keyStore.openDevice(device, { ...options, create: "never" });
    if (deviceStore !== null && (await hasSession(deviceStore))) found.push(device);
  }
  if (found.length <= 1) return found[0];
  const ids = found.map(({ deviceId }) => deviceId).join(", ");
  const message = `the ${keyStore.name} key store has sessions of several devices of ${userId} (${ids}): say which (MATRIX_DEVICE_ID)`;
  throw new MatrixClientError("CONFIG", message);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A device id that nobody has: chosen here and not by the homeserver, so that it is known before the first login. */
export function newDeviceId(): string {
  return Array.from({ length: 10 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}
