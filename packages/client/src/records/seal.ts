import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import { type DeviceRef, KeyStoreError } from "@holdfast/key-store-core";
import { lengthPrefixed } from "./length-prefixed.ts";
import { NONCE_BYTES, TAG_BYTES, Xaes256Gcm } from "./xaes-256-gcm.ts";

/** What a record's value begins with: how the rest of it is to be read. */
const FORMAT = { plain: 0, sealed: 1 } as const;

const EMPTY = new Uint8Array(0);

/** Seals the values of one device's records, and names their keys. */
export interface Seal {
  /** @param json a value as text */
  seal(collection: string, key: Uint8Array, json: string): Uint8Array;
  /** @throws `ERR_KEY_STORE_CORRUPT` where this is not what was sealed for this device, collection and key */
  open(collection: string, key: Uint8Array, bytes: Uint8Array): string;
  /** 16 bytes that stand for names in a collection: the same for the same ones, and not to be guessed without the store's key. */
  keyOf(collection: string, names: readonly string[]): Uint8Array;
}

/**
 * The seal of one device's records under the key of its store, or the form
 * that records have in a store without one.
 *
 * A sealed value is the format byte 1, 24 random bytes, and the JSON under
 * XAES-256-GCM. Why this cipher: a device writes records for years under one
 * key and counts nothing that a crash or a restored disk could set back, so its
 * nonces are random. AES-256-GCM alone allows 2^32 random nonces for a key
 * (NIST SP 800-38D, 8.3); XAES-256-GCM allows 2^80, is specified with test
 * vectors, and runs on the AES of `node:crypto`, which has neither
 * XChaCha20-Poly1305 nor, in all releases, AES-GCM-SIV.
 *
 * Keys come from the store's key by HKDF-SHA256 (RFC 5869), one for values
 * and one for names. User id, device id, collection and record key are the
 * associated data, each with its length before it, so that a value is only
 * ever read where it was written. The format byte is decided by whether the
 * store has a key, never by the record: plaintext slipped into a sealed store is refused.
 */
export function createSeal(device: DeviceRef, storeKey: Uint8Array | undefined): Seal {
  const names = derive(storeKey ?? EMPTY, "names");
  const keyOf = (collection: string, parts: readonly string[]): Uint8Array => {
    const digest = createHmac("sha256", names)
      .update(lengthPrefixed([collection, ...parts]))
      .digest();
    return new Uint8Array(digest.subarray(0, 16));
  };
  return storeKey === undefined ? { ...plain, keyOf } : { ...sealed(device, derive(storeKey, "values")), keyOf };
}

const plain: Pick<Seal, "seal" | "open"> = {
  seal: (_collection, _key, json) => Buffer.concat([new Uint8Array([FORMAT.plain]), Buffer.from(json)]),
  open(collection, _key, bytes) {
    if (bytes[0] === FORMAT.sealed) corrupt(collection, "it is sealed, and this store has no key");
    if (bytes[0] !== FORMAT.plain) corrupt(collection, "it is in no known format");
    return text(collection, bytes.subarray(1));
  },
};

function sealed({ userId, deviceId }: DeviceRef, valueKey: Uint8Array): Pick<Seal, "seal" | "open"> {
  const cipher = new Xaes256Gcm(valueKey);
  const placeOf = (collection: string, key: Uint8Array) => lengthPrefixed([userId, deviceId, collection, key]);
  return {
    seal(collection, key, json) {
      const nonce = randomBytes(NONCE_BYTES);
      const ciphertext = cipher.seal(nonce, Buffer.from(json), placeOf(collection, key));
      return Buffer.concat([new Uint8Array([FORMAT.sealed]), nonce, ciphertext]);
    },
    open(collection, key, bytes) {
      if (bytes[0] === FORMAT.plain) corrupt(collection, "it is in plaintext, and this store has a key");
      if (bytes[0] !== FORMAT.sealed || bytes.byteLength < 1 + NONCE_BYTES + TAG_BYTES) {
        corrupt(collection, "it is in no known format");
      }
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
      const json = cipher.open(nonce, bytes.subarray(1 + NONCE_BYTES), placeOf(collection, key));
      return text(collection, json ?? corrupt(collection, "it is not what was written there"));
    },
  };
}

function derive(storeKey: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", storeKey, EMPTY, `holdfast client records 1 ${purpose}`, 32));
}

function text(collection: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return corrupt(collection, "it is not text");
  }
}

/** Throws the error for a record that is not to be believed, without any of its bytes. */
export function corrupt(collection: string, why: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", `a record of the collection ${collection} does not open: ${why}`);
}
