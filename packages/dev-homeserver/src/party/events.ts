import {
  DecryptionErrorCode,
  DecryptionSettings,
  MegolmDecryptionError,
  type OlmMachine,
  RoomId,
  TrustRequirement,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/json.ts";

/** An event as a homeserver gives it, with its room. */
export interface RoomEvent {
  readonly type: string;
  readonly room_id: string;
  readonly event_id: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly state_key?: string;
}

/** What became of an event. */
export type Received = {
  readonly roomId: string;
  readonly eventId: string;
  readonly sender: string;
} & (
  | {
      readonly kind: "decrypted" | "plain";
      /** The type inside, for an encrypted event. */
      readonly type: string;
      readonly content: JsonObject;
    }
  | {
      readonly kind: "undecryptable";
      /** The engine's name for it, such as `MissingRoomKey`. */
      readonly code: string;
      readonly reason: string;
    }
);

/** Decrypts an event, where it is encrypted. Only the engine's own "cannot" is an answer; other failures are thrown. */
export async function receive(machine: OlmMachine, event: RoomEvent): Promise<Received> {
  const { room_id: roomId, event_id: eventId, sender } = event;
  const about = { roomId, eventId, sender };
  if (event.type !== "m.room.encrypted") return { ...about, kind: "plain", type: event.type, content: event.content };
  const settings = new DecryptionSettings(TrustRequirement.Untrusted);
  try {
    const decrypted = await machine.decryptRoomEvent(JSON.stringify(event), new RoomId(roomId), settings);
    const { type, content } = JSON.parse(decrypted.event) as { type: string; content: JsonObject };
    return { ...about, kind: "decrypted", type, content };
  } catch (error) {
    if (!(error instanceof MegolmDecryptionError)) throw error;
    const code = DecryptionErrorCode[error.code];
    return { ...about, kind: "undecryptable", code, reason: error.description };
  }
}
