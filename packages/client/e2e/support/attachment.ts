import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

/** The `file` of a message (Client-Server API, "Sending encrypted attachments"), without its address. */
export interface FileSecrets {
  readonly v: string;
  readonly key: { readonly k: string };
  readonly iv: string;
  readonly hashes: { readonly sha256: string };
}

/** An attachment encrypted by other code than the client's. */
export function encryptFile(bytes: Uint8Array): { readonly ciphertext: Buffer; readonly secrets: FileSecrets } {
  const [key, iv] = [randomBytes(32), Buffer.concat([randomBytes(8), Buffer.alloc(8)])];
  const ciphertext = createCipheriv("aes-256-ctr", key, iv).update(bytes);
  const jwk = { kty: "oct", key_ops: ["encrypt", "decrypt"], alg: "A256CTR", k: key.toString("base64url"), ext: true };
  const sha256 = unpadded(createHash("sha256").update(ciphertext).digest());
  return { ciphertext, secrets: { v: "v2", key: jwk, iv: unpadded(iv), hashes: { sha256 } } };
}

/** An attachment decrypted by other code than the client's, whose hash must be right. */
export function decryptFile(ciphertext: Uint8Array, { key, iv, hashes }: FileSecrets): Buffer {
  if (unpadded(createHash("sha256").update(ciphertext).digest()) !== hashes.sha256)
    throw new Error("the hash is wrong");
  return createDecipheriv("aes-256-ctr", Buffer.from(key.k, "base64url"), Buffer.from(iv, "base64")).update(ciphertext);
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
