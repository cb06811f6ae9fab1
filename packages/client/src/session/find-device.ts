import { randomInt } from "node:crypto";
import {
  type DeviceRef,
  type DeviceSummary,
  type KeyStore,
  type Logger,
  type OpenDeviceOptions,
  silentLogger,
} from "@holdfast/key-store-core";
import { hasSession } from "./session-store.ts";

/** How {@link findDevice} opens devices. */
export interface FindDeviceOptions extends Omit<OpenDeviceOptions, "create"> {
  readonly logger?: Logger | undefined;
}

/**
 * The one of a user's devices in a key store that has a session, so that a
 * program which starts again goes on as the device that it was; `undefined`
 * where none has. Of several it is the one with the most commits: another came
 * to be while the store was away. Each device that is looked at is opened and
 * closed again.
 *
 * @throws `ERR_KEY_STORE_LEASE_HELD`, and what `openDevice` throws
 */
export async function findDevice(
  keyStore: KeyStore,
  userId: string,
  { logger = silentLogger, ...options }: FindDeviceOptions = {},
): Promise<DeviceRef | undefined> {
  const found: DeviceSummary[] = [];
  for (const device of await keyStore.listDevices()) {
    if (device.userId !== userId) continue;
    const { deviceId } = device;
    await using deviceStore = await keyStore.openDevice({ userId, deviceId }, { ...options, create: "never" });
    if (deviceStore !== null && (await hasSession(deviceStore))) found.push(device);
  }
  const [first, ...others] = found.sort((a, b) => Number(b.revision - a.revision));
  if (first === undefined) return undefined;
  if (others.length > 0) {
    const ids = others.map(({ deviceId }) => deviceId).join(", ");
    logger.warn(`${userId} goes on as ${first.deviceId}, and not as ${ids}: MATRIX_DEVICE_ID says which to be`);
  }
  return { userId, deviceId: first.deviceId };
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A device id that nobody has: chosen here and not by the homeserver, so that it is known before the first login. */
export function newDeviceId(): string {
  return Array.from({ length: 10 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}
