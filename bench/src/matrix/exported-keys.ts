import { generateKeyPairSync, randomBytes } from "node:crypto";

/** How many room keys each room has, and each sender has sent. */
const KEYS_PER_ROOM = 100;
const KEYS_PER_SENDER = 400;

/** An exported room key, as the key export format of the Matrix specification has it. */
interface ExportedRoomKey {
  readonly algorithm: "m.megolm.v1.aes-sha2";
  readonly room_id: string;
  readonly sender_key: string;
  readonly sender_claimed_keys: { readonly ed25519: string };
  readonly session_id: string;
  readonly session_key: string;
  readonly forwarding_curve25519_key_chain: readonly string[];
}

/** Room keys that nobody ever used, as a key export holds them. */
export function exportedRoomKeys(count: number): ExportedRoomKey[] {
  const senders = Array.from({ length: Math.ceil(count / KEYS_PER_SENDER) }, () => ({
    sender_key: unpadded(publicKey("x25519")),
    sender_claimed_keys: { ed25519: unpadded(publicKey("ed25519")) },
  }));
  return Array.from({ length: count }, (_, index) => {
    const signingKey = publicKey("ed25519");
    return {
      algorithm: "m.megolm.v1.aes-sha2",
      room_id: `!imported-${Math.floor(index / KEYS_PER_ROOM)}:localhost`,
      ...(senders[index % senders.length] as (typeof senders)[number]),
      session_id: unpadded(signingKey),
      session_key: unpadded(exportedSession(signingKey)),
      forwarding_curve25519_key_chain: [],
    };
  });
}

/** A Megolm session in its export format: version 1, message index 0, a ratchet of 4 × 32 bytes, the signing key. */
function exportedSession(signingKey: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), randomBytes(128), signingKey]);
}

/** 32 bytes: what stands last in the key's DER encoding. */
function publicKey(curve: "ed25519" | "x25519"): Buffer {
  const pair = curve === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
  return pair.publicKey.export({ type: "spki", format: "der" }).subarray(-32);
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
