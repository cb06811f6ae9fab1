import { type BackupDecryptionKey, type OlmMachine, RoomId } from "@matrix-org/matrix-sdk-crypto-wasm";
import * as v from "valibot";
import type { RoomKey } from "../../crypto/encryption.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";
import { objectOf, parseObject } from "../../http/json.ts";
import { importedNames } from "../room-keys/imported-names.ts";

const Sealed = v.object({
  session_data: v.object({ ephemeral: v.string(), mac: v.string(), ciphertext: v.string() }),
});

/** A room key in a backup: which, and what the homeserver gave for it. */
export interface SealedSession {
  readonly roomId: string;
  readonly sessionId: string;
  readonly sealed: unknown;
}

/** A room key out of a backup, opened. */
export interface OpenSession {
  readonly roomId: string;
  readonly sessionId: string;
  readonly key: JsonObject;
}

/** All room keys in an answer to `/room_keys/keys`; what is malformed is left out. */
export function sessionsOf(answer: JsonObject): SealedSession[] {
  const rooms = Object.entries(objectOf(answer.rooms) ?? {});
  return rooms.flatMap(([roomId, room]) => sessionsOfRoom(roomId, objectOf(room) ?? {}));
}

/** All room keys in an answer to `/room_keys/keys/{roomId}`. */
export function sessionsOfRoom(roomId: string, answer: JsonObject): SealedSession[] {
  const sessions = Object.entries(objectOf(answer.sessions) ?? {});
  return sessions.map(([sessionId, sealed]) => ({ roomId, sessionId, sealed }));
}

/** The room key; `undefined` where it is malformed, or sealed for another backup. */
export function openSession(
  key: BackupDecryptionKey,
  { roomId, sessionId, sealed }: SealedSession,
): OpenSession | undefined {
  const parsed = v.safeParse(Sealed, sealed);
  if (!parsed.success) return undefined;
  const { ephemeral, mac, ciphertext } = parsed.output.session_data;
  try {
    new RoomId(roomId).free();
    const opened = parseObject(key.decryptV1(ephemeral, mac, ciphertext));
    if (typeof opened?.session_key !== "string" || typeof opened.sender_key !== "string") return undefined;
    return { roomId, sessionId, key: { ...opened, room_id: roomId, session_id: sessionId } };
  } catch {
    return undefined;
  }
}

/** Brings room keys in. Answers with how many are new, or better than what was there. */
export async function importSessions(
  machine: OlmMachine,
  version: string,
  sessions: readonly OpenSession[],
): Promise<number> {
  const byRoom = new Map<string, Map<string, JsonObject>>();
  for (const { roomId, sessionId, key } of sessions) {
    const room = byRoom.get(roomId) ?? new Map<string, JsonObject>();
    byRoom.set(roomId, room.set(sessionId, key));
  }
  const keys = new Map([...byRoom].map(([roomId, room]) => [new RoomId(roomId), room]));
  return (await machine.importBackedUpRoomKeys(keys, () => {}, version)).importedCount;
}

/** As {@link importSessions}, for room keys that the backup which is on does not hold. Answers with those that are new, or better. */
export async function importAsExported(machine: OlmMachine, sessions: readonly OpenSession[]): Promise<RoomKey[]> {
  const keys = JSON.stringify(sessions.map(({ key }) => key));
  return importedNames(await machine.importExportedRoomKeys(keys, () => {}));
}
