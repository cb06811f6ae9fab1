import type { Change } from "@holdfast/key-store-core";
import type { Encryption } from "../crypto/encryption.ts";
import type { Rooms } from "../rooms/rooms.ts";
import type { Encryptor, Keep } from "./encryptor.ts";
import type { OutgoingEvent } from "./outbox-record.ts";
import { pausedError } from "./refusal.ts";

export const ENCRYPTED = "m.room.encrypted";
export const REDACTION = "m.room.redaction";
const REACTION = "m.reaction";

/** What it takes to make an event what goes to the homeserver. */
export interface WireFormOptions {
  readonly rooms: Rooms;
  readonly encryptor: Encryptor;
  /** Finds the event a place in the store of an encryption, and answers with what makes the change that writes it there; `undefined` while there is no store. */
  readonly place: ((encryption: Encryption) => Promise<(event: OutgoingEvent) => Change>) | undefined;
  readonly signal: AbortSignal;
}

/**
 * An event as it goes to the homeserver: encrypted where the room is, and then
 * written down; else the same event, which is not written down here. Reactions
 * are nothing but a relation, which is in clear anyway: other clients do not
 * encrypt them. The answer may differ from call to call, as a room may become encrypted.
 *
 * @throws as {@link Encryptor.encrypt}
 */
export async function wireForm(event: OutgoingEvent, options: WireFormOptions): Promise<OutgoingEvent> {
  const { rooms, encryptor, place, signal } = options;
  const { roomId, type } = event;
  if (type === ENCRYPTED || type === REDACTION) return event;
  const { kind } = await rooms.encryption(roomId, signal);
  if (kind === "plain") return event;
  if (place === undefined) throw pausedError(roomId);
  if (type === REACTION) return event;
  let wire = event;
  const keepIn = async (encryption: Encryption): Promise<Keep> => {
    const put = await place(encryption);
    return (content) => {
      wire = { ...event, type: ENCRYPTED, content };
      return [put(wire)];
    };
  };
  await encryptor.encrypt(event, keepIn, signal);
  return wire;
}
