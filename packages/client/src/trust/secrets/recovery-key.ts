import bs58 from "bs58";
import { MatrixClientError } from "../../errors.ts";

const PREFIX = [0x8b, 0x01] as const;
const KEY_BYTES = 32;

/**
 * A key of 32 bytes as people write it down: base58, in groups of four
 * (Matrix specification, "Recovery key").
 */
export function encodeRecoveryKey(key: Uint8Array): string {
  if (key.length !== KEY_BYTES) throw new MatrixClientError("CONFIG", `a recovery key is made of ${KEY_BYTES} bytes`);
  const bytes = [...PREFIX, ...key];
  const text = bs58.encode(Uint8Array.from([...bytes, parity(bytes)]));
  return text.replace(/(.{4})(?=.)/g, "$1 ");
}

/**
 * The key that a recovery key stands for; whitespace anywhere in it is ignored.
 *
 * @throws `MatrixClientError` `WRONG_SECRET` for what is no recovery key: a typing error, above all
 */
export function decodeRecoveryKey(text: string): Uint8Array {
  const bytes = bs58.decodeUnsafe(text.replace(/\s/g, ""));
  const wellFormed =
    bytes !== undefined &&
    bytes.length === PREFIX.length + KEY_BYTES + 1 &&
    PREFIX.every((byte, at) => bytes[at] === byte) &&
    parity(bytes) === 0;
  if (!wellFormed) throw new MatrixClientError("WRONG_SECRET", "this is not a recovery key: check how it was typed");
  return bytes.slice(PREFIX.length, -1);
}

function parity(bytes: Iterable<number>): number {
  let sum = 0;
  for (const byte of bytes) sum ^= byte;
  return sum;
}
