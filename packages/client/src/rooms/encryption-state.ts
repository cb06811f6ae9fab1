import type { JsonObject } from "../http/homeserver-api.ts";

/** The one algorithm of room messages that this client speaks. */
export const MEGOLM = "m.megolm.v1.aes-sha2";

/** What the specification says where `m.room.encryption` does not: a week. */
const DEFAULT_PERIOD_MS = 604_800_000;

/** What the specification says where `m.room.encryption` does not. */
const DEFAULT_PERIOD_MSGS = 100;

/** A room whose messages are encrypted. */
export interface EncryptedRoom {
  readonly kind: "encrypted";
  /** `null` where the event named none: nothing can be sent to the room, least of all in plaintext. */
  readonly algorithm: string | null;
  /** How long one room key is used, in milliseconds. */
  readonly rotationPeriodMs: number;
  /** How many messages one room key is used for. */
  readonly rotationPeriodMsgs: number;
}

/** Whether a room is encrypted, and how. */
export type RoomEncryption = { readonly kind: "plain" } | EncryptedRoom;

/**
 * What the content of `m.room.encryption` (Client-Server API, "m.room.encryption")
 * says. Its mere presence means encrypted, however malformed it is.
 */
export function encryptionOf(content: JsonObject): EncryptedRoom {
  return {
    kind: "encrypted",
    algorithm: typeof content.algorithm === "string" ? content.algorithm : null,
    rotationPeriodMs: positive(content.rotation_period_ms) ?? DEFAULT_PERIOD_MS,
    rotationPeriodMsgs: positive(content.rotation_period_msgs) ?? DEFAULT_PERIOD_MSGS,
  };
}

/** What becomes of a room's encryption, and why what it was told counts for nothing, or not for all. */
export interface Hardened {
  readonly encryption: RoomEncryption;
  readonly ignored: string | undefined;
}

/**
 * What a room's encryption is once it was known and is told anew. It is never
 * weakened: encrypted stays encrypted, Megolm stays Megolm, and room keys are
 * at most rotated more often than before.
 */
export function harden(known: RoomEncryption | null, told: RoomEncryption): Hardened {
  if (known === null || known.kind === "plain") return { encryption: told, ignored: undefined };
  if (told.kind === "plain") return { encryption: known, ignored: "encryption cannot be turned off" };
  if (told.algorithm !== MEGOLM) {
    const same = told.algorithm === known.algorithm;
    return { encryption: known, ignored: same ? undefined : `the algorithm cannot become ${named(told.algorithm)}` };
  }
  if (known.algorithm !== MEGOLM) return { encryption: told, ignored: undefined };
  const encryption: EncryptedRoom = {
    ...known,
    rotationPeriodMs: Math.min(known.rotationPeriodMs, told.rotationPeriodMs),
    rotationPeriodMsgs: Math.min(known.rotationPeriodMsgs, told.rotationPeriodMsgs),
  };
  const slower =
    told.rotationPeriodMs > encryption.rotationPeriodMs || told.rotationPeriodMsgs > encryption.rotationPeriodMsgs;
  return { encryption, ignored: slower ? "room keys cannot be rotated more seldom than before" : undefined };
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** Text from outside as a log line may hold it. */
function named(algorithm: string | null): string {
  return algorithm === null ? "none" : JSON.stringify(algorithm.slice(0, 60));
}
