import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  pbkdf2,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { promisify } from "node:util";
import * as v from "valibot";
import { MatrixClientError } from "../../errors.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";

const IV_BYTES = 16;

/** A secret as secret storage keeps it: bytes in base64. */
export const SealedSecret = v.object({ iv: v.string(), ciphertext: v.string(), mac: v.string() });
export type SealedSecret = v.InferOutput<typeof SealedSecret>;

/** A secret under a key of secret storage, by `m.secret_storage.v1.aes-hmac-sha2`; a name has keys of its own. */
export function sealSecret(key: Uint8Array, name: string, secret: string, iv: Uint8Array = newIv()): SealedSecret {
  const { aes, hmac } = keysFor(key, name);
  const cipher = createCipheriv("aes-256-ctr", aes, iv);
  const ciphertext = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
  return { iv: encodeBase64(iv), ciphertext: encodeBase64(ciphertext), mac: encodeBase64(macOf(hmac, ciphertext)) };
}

/**
 * The secret.
 *
 * @throws `MatrixClientError` `WRONG_SECRET` where the key does not open it: it is another, or what is stored was changed
 */
export function openSecret(key: Uint8Array, name: string, sealed: SealedSecret): string {
  const { aes, hmac } = keysFor(key, name);
  const [iv, ciphertext, mac] = [sealed.iv, sealed.ciphertext, sealed.mac].map(decodeBase64);
  const opens = iv?.length === IV_BYTES && ciphertext && mac && equal(macOf(hmac, ciphertext), mac);
  if (!opens) throw new MatrixClientError("WRONG_SECRET", `this key of secret storage does not open ${name}`);
  const decipher = createDecipheriv("aes-256-ctr", aes, iv);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString("utf8");
}

/** What a key is recognised by: the MAC of 32 zero bytes sealed under it, without a name. */
export function keyCheck(key: Uint8Array, iv: Uint8Array = newIv()): Pick<SealedSecret, "iv" | "mac"> {
  const { mac } = sealSecret(key, "", "\0".repeat(32), iv);
  return { iv: encodeBase64(iv), mac };
}

/** Whether this is the key that a check was made with; `false` for a malformed check too. */
export function keyMatches(key: Uint8Array, check: Pick<SealedSecret, "iv" | "mac">): boolean {
  const [iv, mac] = [decodeBase64(check.iv), decodeBase64(check.mac)];
  if (iv?.length !== IV_BYTES || mac === undefined) return false;
  const expected = decodeBase64(keyCheck(key, iv).mac);
  return expected !== undefined && equal(expected, mac);
}

/** How a passphrase becomes a key (`m.pbkdf2`). */
export interface PassphraseParameters {
  readonly salt: string;
  readonly iterations: number;
  /** The length of the key. */
  readonly bits: number;
}

const derive = promisify(pbkdf2);

/** The key of a passphrase, by PBKDF2 with SHA-512, off the event loop. */
export async function keyFromPassphrase(passphrase: string, parameters: PassphraseParameters): Promise<Uint8Array> {
  const { salt, iterations, bits } = parameters;
  return new Uint8Array(await derive(passphrase, salt, iterations, bits / 8, "sha512"));
}

function keysFor(key: Uint8Array, name: string): { readonly aes: Uint8Array; readonly hmac: Uint8Array } {
  const bytes = new Uint8Array(hkdfSync("sha256", key, new Uint8Array(8), name, 64));
  return { aes: bytes.subarray(0, 32), hmac: bytes.subarray(32) };
}

function newIv(): Uint8Array {
  const iv = randomBytes(IV_BYTES);
  // Bit 63 is zero, for counters of 64 bits that must not overflow in other implementations.
  iv[8] = (iv[8] ?? 0) & 0x7f;
  return iv;
}

function macOf(hmac: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  return createHmac("sha256", hmac).update(ciphertext).digest();
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
