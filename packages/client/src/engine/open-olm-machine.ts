import { randomUUID } from "node:crypto";
import { mount } from "@holdfast/indexeddb";
import {
  type DeviceRef,
  type DeviceStore,
  isKeyStoreError,
  type KeyStore,
  KeyStoreError,
  type OpenDeviceOptions,
} from "@holdfast/key-store-core";
import { DeviceId, initAsync, OlmMachine, StoreHandle, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { type AtRest, checkAtRest, misconfiguredPlaintext } from "../config/at-rest.ts";
import { withGlobals } from "./globals.ts";
import { type OlmEngine, olmEngine } from "./olm-engine.ts";
import { stalling } from "./stalling.ts";
import { storeKey } from "./store-key.ts";

/** What the engine's databases are called inside the device's part of the store. */
const STORE_NAME = "crypto";

export interface OpenOlmMachineOptions extends DeviceRef, AtRest, OpenDeviceOptions {
  /** A key store whose `init()` has answered true. */
  readonly keyStore: KeyStore;
}

/**
 * Opens a device's crypto engine on a key store: the one it had, or a new one
 * with a new identity, which is durable as a whole when this resolves.
 *
 * @throws `ERR_KEY_STORE_UNAVAILABLE` where the key store is not ready;
 * `ERR_KEY_STORE_WRONG_KEY` where the key or passphrase is not the device's;
 * `ERR_KEY_STORE_CONFIG` without either, on a store that other machines can reach;
 * `ERR_KEY_STORE_LEASE_HELD`, `ERR_KEY_STORE_DEVICE_NOT_FOUND`, and what `openDevice` throws
 */
export async function openOlmMachine(options: OpenOlmMachineOptions): Promise<OlmEngine> {
  const { keyStore, userId, deviceId, create, lease, waitMs, signal } = options;
  const atRest = checkAtRest(options);
  if (keyStore.mode === "production" && !atRest.key && !atRest.passphrase && !atRest.plaintext) {
    misconfiguredPlaintext(keyStore.name);
  }
  await initAsync();
  const deviceStore = await keyStore.openDevice({ userId, deviceId }, { create, lease, waitMs, signal });
  if (deviceStore === null) throw notReady(keyStore);
  try {
    return await openOn(deviceStore, atRest);
  } catch (error) {
    await deviceStore.close();
    throw error;
  }
}

async function openOn(deviceStore: DeviceStore, atRest: AtRest): Promise<OlmEngine> {
  const { userId, deviceId } = deviceStore.device;
  const lock = await storeKey(deviceStore, atRest);
  // A name of its own for every opening: the engines of all devices share one global `indexedDB`.
  const prefix = `holdfast-${randomUUID()}/`;
  const mounted = mount(prefix, stalling(deviceStore));
  const globals = withGlobals();
  const release = async () => {
    const unmounted = mounted.unmount();
    // Of a store that failed, transactions are left that never end.
    if (!deviceStore.failed.aborted) await unmounted;
    globals.release();
  };
  try {
    const machine = await deviceStore.batch(async () => {
      await lock.save(deviceStore);
      const handle = await openStore(`${prefix}${STORE_NAME}`, lock.key);
      return OlmMachine.initFromStore(new UserId(userId), new DeviceId(deviceId), handle);
    });
    return olmEngine(machine, deviceStore, release);
  } catch (error) {
    await release();
    throw isKeyStoreError(error) ? error : unreadable(error);
  }
}

function openStore(name: string, key: Uint8Array | undefined): Promise<StoreHandle> {
  return key === undefined ? StoreHandle.open(name, undefined) : StoreHandle.openWithKey(name, key);
}

/** The key was found to be right before: what the engine cannot open now is not what it wrote. */
function unreadable(cause: unknown): KeyStoreError {
  const message = `the crypto engine could not open this device's state: ${cause instanceof Error ? cause.message : cause}`;
  return new KeyStoreError("ERR_KEY_STORE_CORRUPT", message, { cause });
}

function notReady({ name, status }: KeyStore): KeyStoreError {
  const reason =
    status.state === "unavailable" ? status.reason : `init() has not answered true (it is ${status.state})`;
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `the ${name} key store is not ready: ${reason}`);
}
