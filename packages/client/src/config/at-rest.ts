import type { KeyStore } from "@holdfast/key-store-core";
import { choice, type Environment, misconfigured, secret } from "./variables.ts";

/**
 * How a device's state is encrypted at rest: under 32 random bytes, under a
 * passphrase, or not at all. Without either, a store that other machines can
 * reach is refused unless `plaintext` is `"allow"`.
 */
export interface AtRest {
  /** 32 bytes from a cryptographically secure source. */
  readonly key?: Uint8Array | undefined;
  /** Any text; its strength is what protects the keys of whoever reads the database. */
  readonly passphrase?: string | undefined;
  /** `"allow"` to keep keys in plaintext where others may read them. Default: they are refused. */
  readonly plaintext?: "allow" | undefined;
}

const KEY_BYTES = 32;

/**
 * Reads `KEY_STORE_KEY` (32 bytes in base64), `KEY_STORE_PASSPHRASE`, either
 * also as `…_FILE`, and `KEY_STORE_PLAINTEXT` (`allow`).
 *
 * @throws `ERR_KEY_STORE_CONFIG`
 */
export function atRestFromEnv(env: Environment): AtRest {
  const encoded = secret(env, "KEY_STORE_KEY");
  const passphrase = secret(env, "KEY_STORE_PASSPHRASE");
  if (encoded !== undefined && passphrase !== undefined) {
    misconfigured("KEY_STORE_KEY and KEY_STORE_PASSPHRASE are both set: keep one");
  }
  if (encoded !== undefined) return { key: decodeKey(encoded) };
  if (passphrase !== undefined) return { passphrase };
  return choice(env, "KEY_STORE_PLAINTEXT", ["allow"]) === undefined ? {} : { plaintext: "allow" };
}

function decodeKey(encoded: string): Uint8Array {
  // Node.js skips what is not base64; a key with a typing error in it must not become another key.
  const key = /^[A-Za-z0-9+/_-]+={0,2}$/.test(encoded) ? Buffer.from(encoded, "base64") : undefined;
  if (key?.byteLength === KEY_BYTES) return new Uint8Array(key);
  return misconfigured(
    `KEY_STORE_KEY must be ${KEY_BYTES} bytes in base64, as from: openssl rand -base64 ${KEY_BYTES}`,
  );
}

/** A copy of valid options, with one of key and passphrase at most; `ERR_KEY_STORE_CONFIG` otherwise. */
export function checkAtRest({ key, passphrase, plaintext }: AtRest): AtRest {
  if (plaintext !== undefined && plaintext !== "allow") misconfigured('plaintext is "allow" or nothing');
  if (key !== undefined && passphrase !== undefined) misconfigured("give a key or a passphrase, not both");
  if (key !== undefined) {
    if (!(key instanceof Uint8Array) || key.byteLength !== KEY_BYTES) misconfigured(`a key is ${KEY_BYTES} bytes`);
    return { key: new Uint8Array(key) };
  }
  if (passphrase !== undefined) {
    if (typeof passphrase !== "string" || passphrase === "")
      misconfigured("a passphrase is a string that is not empty");
    return { passphrase };
  }
  return plaintext === undefined ? {} : { plaintext };
}

/**
 * How the state is encrypted, by what the program gives and else by the
 * environment. A key or passphrase that the program gives is in the place of the
 * environment's; `plaintext` is not, as it counts only where there is neither.
 *
 * @throws `ERR_KEY_STORE_CONFIG`
 */
export function atRestFrom(env: Environment, { key, passphrase, plaintext }: AtRest): AtRest {
  if (key !== undefined || passphrase !== undefined) return checkAtRest({ key, passphrase, plaintext });
  return checkAtRest({ plaintext, ...atRestFromEnv(env) });
}

/** Throws `ERR_KEY_STORE_CONFIG` where a store that other machines can reach would hold keys in plaintext unsaid. */
export function requireEncryptedAtRest(keyStore: Pick<KeyStore, "mode" | "name">, atRest: AtRest): void {
  const { key, passphrase, plaintext } = atRest;
  if (keyStore.mode === "production" && !key && !passphrase && !plaintext) misconfiguredPlaintext(keyStore.name);
}

/** Throws the error for a shared store that would hold keys in plaintext without anybody having said so. */
export function misconfiguredPlaintext(name: string): never {
  misconfigured(
    `${name} would hold the keys where others may read them: give a key (KEY_STORE_KEY, as from: openssl rand -base64 ${KEY_BYTES}) or a passphrase (KEY_STORE_PASSPHRASE), or allow plaintext by name (KEY_STORE_PLAINTEXT=allow)`,
  );
}
