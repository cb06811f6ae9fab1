import { Attachment, EncryptedAttachment, initAsync } from "@matrix-org/matrix-sdk-crypto-wasm";
import * as v from "valibot";
import { MatrixClientError } from "../errors.ts";
import type { DownloadOptions, HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { objectOf, textOf } from "../http/json.ts";

/** Bytes that were encrypted, and what opens them. */
export interface EncryptedBytes {
  readonly ciphertext: Uint8Array;
  /** An `EncryptedFile` (Client-Server API, "Sending encrypted attachments") without its `url`. It holds the key: it goes into encrypted events only. */
  readonly secrets: JsonObject;
}

const encryptedFile = v.object({
  url: v.string(),
  key: v.object({
    kty: v.literal("oct"),
    key_ops: v.array(v.string()),
    alg: v.literal("A256CTR"),
    k: v.string(),
    ext: v.literal(true),
  }),
  iv: v.string(),
  hashes: v.object({ sha256: v.string() }),
  v: v.literal("v2"),
});

/** Encrypts an attachment under a key of its own. */
export async function encryptAttachment(bytes: Uint8Array): Promise<EncryptedBytes> {
  await initAsync();
  using encrypted = Attachment.encrypt(bytes);
  const secrets = JSON.parse(encrypted.mediaEncryptionInfo ?? "null") as JsonObject;
  return { ciphertext: encrypted.encryptedData, secrets };
}

/**
 * Decrypts an attachment, once its hash is found to be the one that its sender gave.
 *
 * @param file an `EncryptedFile`, as it came
 * @throws `MALFORMED` for other bytes than the sender's, and for a malformed `file`
 */
async function decryptAttachment(file: unknown, ciphertext: Uint8Array): Promise<Uint8Array> {
  const { url: _, ...secrets } = parseFile(file);
  await initAsync();
  try {
    using encrypted = new EncryptedAttachment(ciphertext, JSON.stringify(secrets));
    return Attachment.decrypt(encrypted);
  } catch {
    // Without the engine's words for it: they may quote the key.
    throw new MatrixClientError("MALFORMED", "the attachment is not what its sender has encrypted");
  }
}

/**
 * Downloads the file of a message, such as `m.file` or `m.image`, and decrypts it where it is encrypted.
 *
 * @param content the content of the message
 * @throws `MALFORMED` where the message has no file, or the file is not what its sender has encrypted;
 * what `HomeserverApi.download` throws
 */
export async function downloadAttachment(
  api: HomeserverApi,
  content: JsonObject,
  options: DownloadOptions = {},
): Promise<Uint8Array> {
  if (content.file !== undefined) {
    const { url } = parseFile(content.file);
    return decryptAttachment(content.file, await api.download(url, options));
  }
  const url = textOf(content.url);
  if (url === undefined) throw new MatrixClientError("MALFORMED", "the message has no file");
  return api.download(url, options);
}

function parseFile(file: unknown): v.InferOutput<typeof encryptedFile> {
  const parsed = v.safeParse(encryptedFile, objectOf(file));
  if (parsed.success) return parsed.output;
  throw new MatrixClientError("MALFORMED", "the message does not say how its file is encrypted");
}
