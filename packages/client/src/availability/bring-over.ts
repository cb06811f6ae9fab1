import {
  type DeviceRef,
  type DeviceSummary,
  isKeyStoreError,
  type KeyStore,
  type Logger,
  type OpenDeviceOptions,
} from "@holdfast/key-store-core";
import { moveDevice } from "@holdfast/key-store-move";
import type { AtRest } from "../config/at-rest.ts";
import { EngineEncryption } from "../crypto/engine-encryption.ts";
import { checkIdentity } from "../crypto/identity-guard.ts";
import { openEngine } from "../engine/open-olm-machine.ts";
import { isMatrixClientError } from "../errors.ts";
import type { HomeserverApi } from "../http/homeserver-api.ts";

/** Which device is brought over, from where to where. */
export interface BringOver {
  readonly from: KeyStore;
  readonly to: KeyStore;
  readonly device: DeviceRef;
  readonly atRest: AtRest;
  readonly lease: Pick<OpenDeviceOptions, "lease" | "waitMs">;
  readonly api: HomeserverApi;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Moves a device that has lived in another store to the one that was asked
 * for, or finishes a move that was begun. Where both hold it, each with an
 * identity of its own, the one that the homeserver publishes wins, and the other
 * is set aside, where it is kept. Answers whether anything was moved.
 *
 * @throws what `moveDevice` throws: `ERR_KEY_STORE_CONFLICT` where both hold the device and the homeserver shows no keys of it; what `openEngine` and `HomeserverApi.request` throw where both hold the device
 */
export async function bringOver(parts: BringOver): Promise<boolean> {
  const { from, to, device, lease, logger, signal } = parts;
  try {
    const { outcome } = await moveDevice({ from, to, device, ...lease, logger, signal });
    return outcome === "moved";
  } catch (error) {
    if (!isKeyStoreError(error, "ERR_KEY_STORE_CONFLICT")) throw error;
    const shown = await shownFor(parts);
    // Nothing says which of them others know: neither is set aside.
    if (shown === "unknown") throw error;
    const onConflict = shown === "equal" ? "archive-target" : "archive-source";
    const wins = onConflict === "archive-target" ? from : to;
    logger.warn(
      `Two stores hold this device: the identity in ${wins.name} is the one that the homeserver shows; the other is set aside`,
    );
    const { outcome } = await moveDevice({ from, to, device, ...lease, logger, signal, onConflict });
    return outcome === "moved";
  }
}

/** As {@link bringOver}, out of the first of some stores that has something to bring. Answers whether anything was moved. */
export async function bringFromAny(stores: AsyncIterable<KeyStore>, parts: Omit<BringOver, "from">): Promise<boolean> {
  const { to, device, logger } = parts;
  for await (const from of stores) {
    if ((await deviceOn(from, device)) === undefined) continue;
    if (await bringOver({ ...parts, from })) {
      logger.info(`The device's keys were moved from the ${from.name} store to the ${to.name} store`);
      return true;
    }
  }
  return false;
}

/** A device as a store lists it; `undefined` where the store does not hold it. */
export async function deviceOn(
  keyStore: KeyStore,
  { userId, deviceId }: DeviceRef,
): Promise<DeviceSummary | undefined> {
  return (await keyStore.listDevices()).find((one) => one.userId === userId && one.deviceId === deviceId);
}

/** What the homeserver shows for the device: the identity that the source holds, another, or none. */
async function shownFor(parts: BringOver): Promise<"equal" | "other" | "unknown"> {
  const { from, device, atRest, lease, api, logger, signal } = parts;
  const opened = await openEngine({ keyStore: from, ...device, ...atRest, ...lease, create: "never", signal });
  const encryption = new EngineEncryption({ ...opened, api, logger });
  try {
    return await checkIdentity(api, encryption, signal);
  } catch (error) {
    if (isMatrixClientError(error, "IDENTITY_CONFLICT")) return "other";
    throw error;
  } finally {
    await encryption.close();
  }
}
