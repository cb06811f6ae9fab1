import type { Change } from "@holdfast/key-store-core";
import type { Rooms } from "../rooms/rooms.ts";
import type { Encryptor } from "./encryptor.ts";
import type { OutgoingEvent } from "./outbox-record.ts";
import { pausedError } from "./refusal.ts";

export const ENCRYPTED = "m.room.encrypted";
export const REDACTION = "m.room.redaction";
const REACTION = "m.reaction";

/** What it takes to make an event what goes to the homeserver. */
export interface WireFormOptions {
  readonly rooms: Rooms;
  readonly encryptor: Encryptor;
  /** Makes the change that writes an event down; `undefined` while there is no store. */
  readonly put: ((event: OutgoingEvent) => Change) | undefined;
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
  const { rooms, encryptor, put, signal } = options;
  const { roomId, type } = event;
  if (type === ENCRYPTED || type === REDACTION) return event;
  const { kind } = await rooms.encryption(roomId, signal);
  if (kind === "plain") return event;
  if (put === undefined) throw pausedError(roomId);
  if (type === REACTION) return event;
  let wire = event;
  const keep = (content: OutgoingEvent["content"]): Change[] => {
    wire = { ...event, type: ENCRYPTED, content };
    return [put(wire)];
  };
  await encryptor.encrypt(event, keep, signal);
  return wire;
}
