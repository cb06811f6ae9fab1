import { randomUUID } from "node:crypto";
import { mount } from "@holdfast/indexeddb";
import {
  type DeviceRef,
  type DeviceStore,
  isKeyStoreError,
  type KeyStore,
  KeyStoreError,
  messageOf,
  type OpenDeviceOptions,
} from "@holdfast/key-store-core";
import { DeviceId, initAsync, OlmMachine, StoreHandle, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { type AtRest, checkAtRest, requireEncryptedAtRest } from "../config/at-rest.ts";
import { openCollections } from "../records/open-collections.ts";
import type { OpenCollection } from "../records/sealed-collection.ts";
import { withGlobals } from "./globals.ts";
import { type OlmEngine, olmEngine } from "./olm-engine.ts";
import { type StoreKey, storeKey } from "./store-key.ts";

/** What the engine's databases are called inside the device's part of the store. */
const STORE_NAME = "crypto";

/** Which device's engine is opened, on which store, and under which key. */
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
 * `ERR_KEY_STORE_CONFIG` without either, on a store that other machines can reach, and
 * where other code replaced `globalThis.indexedDB` in the midst of the opening;
 * `ERR_KEY_STORE_INVALID_ARGUMENT` for a malformed user id;
 * `ERR_KEY_STORE_LEASE_HELD`, `ERR_KEY_STORE_DEVICE_NOT_FOUND`, and what `openDevice` throws
 */
export async function openOlmMachine(options: OpenOlmMachineOptions): Promise<OlmEngine> {
  return (await openEngine(options)).engine;
}

/** A device's engine, and the client's own records in the same store, under the same key. */
export interface OpenedEngine {
  readonly engine: OlmEngine;
  readonly collection: OpenCollection;
}

/** {@link openOlmMachine} for the client, which keeps records of its own beside the engine's. */
export async function openEngine(options: OpenOlmMachineOptions): Promise<OpenedEngine> {
  const { keyStore, userId, deviceId, create } = options;
  const atRest = checkAtRest(options);
  await initAsync();
  const account = accountOf(userId, deviceId);
  requireEncryptedAtRest(keyStore, atRest);
  const deviceStore = await keyStore.openDevice({ userId, deviceId }, openDeviceOptions(options));
  if (deviceStore === null) throw notReady(keyStore);
  try {
    const lock = await storeKey(deviceStore, atRest, create);
    const engine = await openOn(deviceStore, account, lock);
    return { engine, collection: openCollections(deviceStore, lock.key) };
  } catch (error) {
    await deviceStore.close();
    throw error;
  }
}

function openDeviceOptions(options: OpenDeviceOptions): OpenDeviceOptions {
  const { create, lease, waitMs, acceptRollback, signal } = options;
  return { create, lease, waitMs, acceptRollback, signal };
}

/** Whose engine it is, in the engine's own types. */
interface Account {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
}

function accountOf(userId: string, deviceId: string): Account {
  try {
    return { userId: new UserId(userId), deviceId: new DeviceId(deviceId) };
  } catch (cause) {
    const message = `${JSON.stringify(userId)} is not a Matrix user id: ${messageOf(cause)}`;
    throw new KeyStoreError("ERR_KEY_STORE_INVALID_ARGUMENT", message, { cause });
  }
}

async function openOn(deviceStore: DeviceStore, account: Account, lock: StoreKey): Promise<OlmEngine> {
  // A name of its own for every opening: the engines of all devices share one global `indexedDB`.
  const prefix = `holdfast-${randomUUID()}/`;
  // The engine takes a read that failed for an answer, and goes on to a panic, which ends the process. Whoever
  // called it is told by the batch, which ends with the store's first failure.
  const mounted = mount(prefix, deviceStore, { onStoreFailure: "stall" });
  const globals = withGlobals();
  const release = async () => {
    await mounted.unmount().finally(() => globals.release());
  };
  try {
    const machine = await deviceStore.batch(async () => {
      await lock.save(deviceStore);
      globals.ensure();
      using handle = await openStore(`${prefix}${STORE_NAME}`, lock.key);
      const opened = await OlmMachine.initFromStore(account.userId, account.deviceId, handle);
      if (globals.areInForce && mounted.connections > 0) return opened;
      opened.close();
      throw globalsReplaced();
    });
    return olmEngine(machine, deviceStore, globals, release);
  } catch (error) {
    // What was found in another store says nothing of this one.
    const failure = globals.areInForce ? unreadable(error) : globalsReplaced(error);
    await release();
    throw isKeyStoreError(error) ? error : failure;
  }
}

function openStore(name: string, key: Uint8Array | undefined): Promise<StoreHandle> {
  return key === undefined ? StoreHandle.open(name, undefined) : StoreHandle.openWithKey(name, key);
}

/** The key was found to be right before: what the engine cannot open now is not what it wrote. */
function unreadable(cause: unknown): KeyStoreError {
  const message = `the crypto engine could not open this device's state: ${messageOf(cause)}`;
  return new KeyStoreError("ERR_KEY_STORE_CORRUPT", message, { cause });
}

function globalsReplaced(cause?: unknown): KeyStoreError {
  const message =
    "other code put an indexedDB of its own on globalThis while the crypto engine was opened, so that the engine's keys " +
    "would have been kept there: put it there before, as by importing fake-indexeddb/auto first, and open the engine again";
  return new KeyStoreError("ERR_KEY_STORE_CONFIG", message, { cause });
}

function notReady({ name, status }: KeyStore): KeyStoreError {
  const reason =
    status.state === "unavailable" ? status.reason : `init() has not answered true (it is ${status.state})`;
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `the ${name} key store is not ready: ${reason}`);
}
