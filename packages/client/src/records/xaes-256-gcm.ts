import { createCipheriv, createDecipheriv } from "node:crypto";

/** Bytes of an XAES-256-GCM nonce: enough to be drawn at random for every message, up to 2^80 of them under one key. */
export const NONCE_BYTES = 24;

/** Bytes that a ciphertext has more than its plaintext. */
export const TAG_BYTES = 16;

const BLOCK = 16;

/**
 * XAES-256-GCM (C2SP, c2sp.org/XAES-256-GCM): AES-256-GCM (NIST SP 800-38D)
 * under a key derived for each message from the first half of its nonce by
 * CMAC in counter mode (NIST SP 800-108r1), with the second half as GCM's own
 * nonce. It is made of AES alone, so all of it runs in the platform's
 * constant-time implementation.
 */
export class Xaes256Gcm {
  readonly #key: Uint8Array;
  /** CMAC's first subkey (NIST SP 800-38B, 6.1). */
  readonly #subkey: Uint8Array;

  /** @param key 32 bytes */
  constructor(key: Uint8Array) {
    this.#key = new Uint8Array(key);
    this.#subkey = doubled(encryptBlocks(this.#key, new Uint8Array(BLOCK)));
  }

  /** The ciphertext with its tag at the end. A nonce is used once. */
  seal(nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array {
    const cipher = createCipheriv("aes-256-gcm", this.#messageKey(nonce), nonce.subarray(12));
    cipher.setAAD(associated);
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** The plaintext; `undefined` where ciphertext, nonce or associated data are not those that were sealed. */
  open(nonce: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | undefined {
    const end = sealed.byteLength - TAG_BYTES;
    if (end < 0) return undefined;
    const cipher = createDecipheriv("aes-256-gcm", this.#messageKey(nonce), nonce.subarray(12), {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(associated);
    cipher.setAuthTag(sealed.subarray(end));
    const plaintext = cipher.update(sealed.subarray(0, end));
    try {
      return Buffer.concat([plaintext, cipher.final()]);
    } catch {
      return undefined;
    }
  }

  #messageKey(nonce: Uint8Array): Uint8Array {
    const blocks = new Uint8Array(2 * BLOCK);
    for (const counter of [1, 2]) {
      const at = (counter - 1) * BLOCK;
      blocks.set([0, counter, 0x58, 0], at);
      blocks.set(nonce.subarray(0, 12), at + 4);
    }
    return encryptBlocks(
      this.#key,
      blocks.map((byte, at) => byte ^ (this.#subkey[at % BLOCK] ?? 0)),
    );
  }
}

function encryptBlocks(key: Uint8Array, blocks: Uint8Array): Uint8Array {
  return createCipheriv("aes-256-ecb", key, null).setAutoPadding(false).update(blocks);
}

/** The block doubled in GF(2^128), without a branch: what it doubles is secret. */
function doubled(block: Uint8Array): Uint8Array {
  const shifted = block.map((byte, at) => (byte << 1) | ((block[at + 1] ?? 0) >> 7));
  const overflow = (block[0] ?? 0) >> 7;
  return shifted.map((byte, at) => byte ^ (at === BLOCK - 1 ? overflow * 0x87 : 0));
}
