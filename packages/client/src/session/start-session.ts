import {
  type DeviceStore,
  isKeyStoreError,
  type KeyStore,
  type OpenDeviceOptions,
  silentLogger,
} from "@holdfast/key-store-core";
import { type AtRest, checkAtRest } from "../config/at-rest.ts";
import { storeKey } from "../engine/store-key.ts";
import { openCollections } from "../records/open-collections.ts";
import { findDevice, newDeviceId } from "./find-device.ts";
import { type OpenSessionOptions, openSession } from "./open-session.ts";
import { sessionStore } from "./session-store.ts";
import type { SessionTokens } from "./session-tokens.ts";

/** Which session a client starts with, and which store may know it. */
export interface StartSessionOptions
  extends Omit<OpenSessionOptions, "store">,
    AtRest,
    Pick<OpenDeviceOptions, "lease" | "waitMs"> {
  /** A key store that is ready; `undefined` where none is. */
  readonly keyStore: KeyStore | undefined;
}

/**
 * The session that a client starts with, before its engine is opened: that of
 * the device which is configured, or else of the one that the store has a
 * session of, or else of a new one. The device's store is opened for as long
 * as this takes, where there is one. Whoever opens the engine then calls
 * `attach`, which saves the session beside the engine's state.
 *
 * @throws what `openSession` and `openDevice` throw; `ERR_KEY_STORE_WRONG_KEY`
 */
export async function startSession(options: StartSessionOptions): Promise<SessionTokens> {
  const { credentials, keyStore, userId, lease, waitMs, signal, logger = silentLogger } = options;
  if (credentials.type === "access-token") return openSession(options);
  const opening = { lease, waitMs, signal };
  const known =
    options.deviceId ??
    (userId === undefined || keyStore === undefined
      ? undefined
      : (await findDevice(keyStore, userId, { ...opening, logger }))?.deviceId);
  if (userId === undefined || keyStore === undefined || known === undefined) {
    return openSession({
      ...options,
      deviceId: known ?? (credentials.type === "password" ? newDeviceId() : undefined),
    });
  }
  const deviceStore = await keyStore
    .openDevice({ userId, deviceId: known }, { ...opening, create: "never" })
    .catch(unlessMissing);
  if (deviceStore === null) return openSession({ ...options, deviceId: known });
  try {
    return await openSession({ ...options, deviceId: known, store: await storeOf(deviceStore, options) });
  } finally {
    await deviceStore.close();
  }
}

/** The device's session, where its state was ever begun: a record before that would pass for a state. */
async function storeOf(deviceStore: DeviceStore, options: AtRest) {
  const lock = await storeKey(deviceStore, checkAtRest(options), "never").catch(unlessMissing);
  return lock === null ? undefined : sessionStore(deviceStore, openCollections(deviceStore, lock.key));
}

function unlessMissing(error: unknown): null {
  if (isKeyStoreError(error, "ERR_KEY_STORE_DEVICE_NOT_FOUND")) return null;
  throw error;
}
