import { createCipheriv, createDecipheriv, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { MatrixClientError } from "../../errors.ts";

const BEGIN = "-----BEGIN MEGOLM SESSION DATA-----";
const END = "-----END MEGOLM SESSION DATA-----";
const VERSION = 1;
const SALT_BYTES = 16;
const IV_BYTES = 16;
const MAC_BYTES = 32;
/** Version, salt, IV and number of rounds. */
const HEADER_BYTES = 1 + SALT_BYTES + IV_BYTES + 4;
/** The number of rounds comes with the file: a malicious one must not keep this process counting for hours. */
const MAX_ROUNDS = 20_000_000;
const LINE = 76;

const derive = promisify(pbkdf2);

/**
 * Text under a passphrase, in the format for exported room keys (Matrix
 * specification, "Key exports"): PBKDF2 with SHA-512, AES-256-CTR, HMAC-SHA-256.
 * The key is derived off the event loop.
 */
export async function sealRoomKeyFile(text: string, passphrase: string, rounds: number): Promise<string> {
  const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(IV_BYTES)];
  // Bit 63 is zero, for counters of 64 bits that must not overflow in other implementations.
  iv[8] = (iv[8] ?? 0) & 0x7f;
  const { aes, hmac } = await keysFor(passphrase, salt, rounds);
  const cipher = createCipheriv("aes-256-ctr", aes, iv);
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = VERSION;
  salt.copy(header, 1);
  iv.copy(header, 1 + SALT_BYTES);
  header.writeUInt32BE(rounds, HEADER_BYTES - 4);
  const sealed = Buffer.concat([header, cipher.update(text, "utf8"), cipher.final()]);
  const mac = createHmac("sha256", hmac).update(sealed).digest();
  const lines = Buffer.concat([sealed, mac])
    .toString("base64")
    .replace(new RegExp(`.{${LINE}}(?=.)`, "g"), "$&\n");
  return `${BEGIN}\n${lines}\n${END}\n`;
}

/**
 * The text of a file of exported room keys.
 *
 * @throws `MatrixClientError` `MALFORMED` for what is not such a file; `WRONG_SECRET` where the passphrase does not open it
 */
export async function openRoomKeyFile(file: string, passphrase: string): Promise<string> {
  const bytes = bytesOf(file);
  const sealed = bytes.subarray(0, -MAC_BYTES);
  const mac = bytes.subarray(-MAC_BYTES);
  const rounds = sealed.readUInt32BE(HEADER_BYTES - 4);
  if (sealed[0] !== VERSION) throw malformed(`it is of version ${sealed[0]}, and only version ${VERSION} is known`);
  if (rounds < 1 || rounds > MAX_ROUNDS) throw malformed(`it asks for ${rounds} rounds of key derivation`);
  const salt = sealed.subarray(1, 1 + SALT_BYTES);
  const iv = sealed.subarray(1 + SALT_BYTES, 1 + SALT_BYTES + IV_BYTES);
  const { aes, hmac } = await keysFor(passphrase, salt, rounds);
  if (!timingSafeEqual(createHmac("sha256", hmac).update(sealed).digest(), mac)) {
    throw new MatrixClientError(
      "WRONG_SECRET",
      "this passphrase does not open the exported room keys, or the file was changed",
    );
  }
  const decipher = createDecipheriv("aes-256-ctr", aes, iv);
  return Buffer.concat([decipher.update(sealed.subarray(HEADER_BYTES)), decipher.final()]).toString("utf8");
}

function bytesOf(file: string): Buffer {
  const [begin, end] = [file.indexOf(BEGIN), file.indexOf(END)];
  if (begin < 0 || end < begin) throw malformed("its first or last line is missing");
  const text = file.slice(begin + BEGIN.length, end).replace(/\s/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw malformed("it is not base64");
  const bytes = Buffer.from(text, "base64");
  if (bytes.length < HEADER_BYTES + MAC_BYTES) throw malformed("it is too short");
  return bytes;
}

async function keysFor(passphrase: string, salt: Uint8Array, rounds: number): Promise<{ aes: Buffer; hmac: Buffer }> {
  const bytes = await derive(passphrase, salt, rounds, 64, "sha512");
  return { aes: bytes.subarray(0, 32), hmac: bytes.subarray(32) };
}

function malformed(reason: string): MatrixClientError {
  return new MatrixClientError("MALFORMED", `this is not a file of exported room keys: ${reason}`);
}
