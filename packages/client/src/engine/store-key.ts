import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import {
  type DeviceRef,
  type DeviceStore,
  KeyStoreError,
  messageOf,
  type OpenDeviceOptions,
} from "@holdfast/key-store-core";
import type { AtRest } from "../config/at-rest.ts";

const derive = promisify<string, Uint8Array, number, ScryptOptions, Buffer>(scrypt);

/** Where the record stands that tells a right key from a wrong one. */
const COLLECTION = "client";
const KEY = Buffer.from("store-key");

/** The cost parameters of scrypt. */
interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** Cost of deriving a key from a passphrase: scrypt (RFC 7914) with 128 MiB, as OWASP's password storage guide has it. */
const SCRYPT: ScryptCost = { N: 2 ** 17, r: 8, p: 1 };

/** How a device's state is encrypted, as its store records it. */
type Lock =
  | { readonly kind: "plaintext" }
  | { readonly kind: "key"; readonly check: string }
  | ({ readonly kind: "passphrase"; readonly check: string; readonly salt: string } & ScryptCost);

/** The key that a device's state is encrypted under; `undefined` where it is in plaintext. */
export interface StoreKey {
  readonly key: Uint8Array | undefined;
  /** Writes down how the state is encrypted, once: as part of the batch that writes the first of it. */
  save(store: DeviceStore): Promise<void>;
}

/**
 * The key for a device's state: the one given, or the one that its passphrase
 * and the salt in the store make.
 *
 * @throws `ERR_KEY_STORE_WRONG_KEY` where it is not the one that the state was
 * encrypted under, or there is one and the state is in plaintext, or the reverse;
 * `ERR_KEY_STORE_DEVICE_NOT_FOUND` where there is no state yet and `create` is `"never"`
 */
export async function storeKey(
  store: DeviceStore,
  atRest: AtRest,
  create: OpenDeviceOptions["create"],
): Promise<StoreKey> {
  const { device } = store;
  const lock = parse(await store.get(COLLECTION, KEY));
  if (lock === undefined) {
    if (create !== "never") return newStoreKey(device, atRest);
    const message = `device ${device.deviceId} of ${device.userId} has no encryption state yet, and create is "never"`;
    throw new KeyStoreError("ERR_KEY_STORE_DEVICE_NOT_FOUND", message);
  }
  const key = await existingKey(lock, atRest);
  if (key !== undefined && lock.kind !== "plaintext" && !equal(checkOf(key, device), lock.check)) {
    wrongKey(`the ${lock.kind} is not the one that this device's state was encrypted under`);
  }
  return { key, save: async () => {} };
}

async function newStoreKey(device: DeviceRef, { key, passphrase }: AtRest): Promise<StoreKey> {
  if (passphrase !== undefined) {
    const salt = randomBytes(16);
    const derived = await stretch(passphrase, salt, SCRYPT);
    const lock: Lock = {
      kind: "passphrase",
      check: checkOf(derived, device),
      salt: salt.toString("base64"),
      ...SCRYPT,
    };
    return { key: derived, save: (store) => write(store, lock) };
  }
  const lock: Lock = key === undefined ? { kind: "plaintext" } : { kind: "key", check: checkOf(key, device) };
  return { key, save: (store) => write(store, lock) };
}

async function existingKey(lock: Lock, { key, passphrase }: AtRest): Promise<Uint8Array | undefined> {
  const given = key !== undefined ? "key" : passphrase !== undefined ? "passphrase" : "plaintext";
  if (given !== lock.kind) {
    const asked = { key: "a key", passphrase: "a passphrase", plaintext: "no key" };
    wrongKey(`this device's state was written with ${asked[lock.kind]}, and is opened with ${asked[given]}`);
  }
  if (lock.kind !== "passphrase" || passphrase === undefined) return key;
  return stretch(passphrase, Buffer.from(lock.salt, "base64"), lock);
}

async function stretch(passphrase: string, salt: Uint8Array, { N, r, p }: ScryptCost): Promise<Uint8Array> {
  const maxmem = 2 * 128 * N * r;
  return new Uint8Array(await derive(passphrase.normalize("NFKC"), salt, 32, { N, r, p, maxmem }));
}

/** What shows that a key is the right one for this device, and nothing of the key, nor whether other devices have it. */
function checkOf(key: Uint8Array, { userId, deviceId }: DeviceRef): string {
  const text = JSON.stringify(["holdfast store key check 1", userId, deviceId]);
  return createHmac("sha256", key).update(text).digest("base64");
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function write(store: DeviceStore, lock: Lock): Promise<void> {
  const value = Buffer.from(JSON.stringify({ version: 1, ...lock }));
  return store.commit([{ type: "put", collection: COLLECTION, key: KEY, value }]);
}

function parse(bytes: Uint8Array | undefined): Lock | undefined {
  if (bytes === undefined) return undefined;
  let lock: { version?: unknown } & Partial<Record<string, unknown>>;
  try {
    lock = JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw corrupt(messageOf(cause));
  }
  if (lock?.version !== 1) throw corrupt("its version is not known here");
  const cost = [lock.N, lock.r, lock.p].every(
    (n) => Number.isSafeInteger(n) && (n as number) > 0 && (n as number) <= 2 ** 20,
  );
  const valid =
    lock.kind === "plaintext" ||
    (lock.kind === "key" && typeof lock.check === "string") ||
    (lock.kind === "passphrase" && typeof lock.check === "string" && typeof lock.salt === "string" && cost);
  if (!valid) throw corrupt("it is not of any known kind");
  return lock as Lock;
}

function corrupt(why: string): KeyStoreError {
  return new KeyStoreError("ERR_KEY_STORE_CORRUPT", `the record of this device's store key cannot be read: ${why}`);
}

function wrongKey(message: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_WRONG_KEY", message);
}
