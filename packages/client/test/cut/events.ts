import {
  DecryptionErrorCode,
  DecryptionSettings,
  DeviceLists,
  MegolmDecryptionError,
  type OlmMachine,
  type ProcessedToDeviceEvent,
  RoomId,
  TrustRequirement,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";

/** An encrypted event of a room, as a homeserver gives it. */
export interface EncryptedEvent {
  readonly type: "m.room.encrypted";
  readonly room_id: string;
  readonly event_id: string;
  readonly sender: string;
  readonly origin_server_ts: number;
  readonly content: Readonly<Record<string, unknown>>;
}

/** What these tests look at in the answer to a sync. */
export interface SyncBody {
  readonly next_batch: string;
  readonly rooms: {
    readonly join: Readonly<Record<string, { readonly timeline: { readonly events: readonly unknown[] } }>>;
  };
  readonly to_device: { readonly events: readonly unknown[] };
  readonly device_lists: { readonly changed: readonly string[]; readonly left: readonly string[] };
  readonly device_one_time_keys_count: Readonly<Record<string, number>>;
  readonly device_unused_fallback_key_types: readonly string[];
}

let events = 0;

/** A ciphertext as the event that a room's members receive. */
export function encryptedEvent(roomId: string, sender: string, content: string): EncryptedEvent {
  events += 1;
  return {
    type: "m.room.encrypted",
    room_id: roomId,
    event_id: `$event-${events}`,
    sender,
    origin_server_ts: 1_700_000_000_000 + events,
    content: JSON.parse(content),
  };
}

/** The encrypted events that a sync brought, of all rooms. */
export function encryptedEvents(body: SyncBody): EncryptedEvent[] {
  return Object.entries(body.rooms.join).flatMap(([roomId, { timeline }]) =>
    timeline.events
      .map((event) => ({ ...(event as EncryptedEvent), room_id: roomId }))
      .filter(({ type }) => type === "m.room.encrypted"),
  );
}

/** Gives the engine what a sync brought for it. */
export function receiveSync(machine: OlmMachine, body: Partial<SyncBody>): Promise<ProcessedToDeviceEvent[]> {
  const users = (ids: readonly string[] = []) => ids.map((id) => new UserId(id));
  const { device_lists: lists, device_unused_fallback_key_types: fallback } = body;
  return machine.receiveSyncChanges(
    JSON.stringify(body.to_device?.events ?? []),
    new DeviceLists(users(lists?.changed), users(lists?.left)),
    new Map(Object.entries(body.device_one_time_keys_count ?? {})),
    fallback === undefined ? undefined : new Set(fallback),
  );
}

/** The text of an event, or the engine's name for the reason that it has none. */
async function textOf(machine: OlmMachine, event: EncryptedEvent): Promise<string> {
  const settings = new DecryptionSettings(TrustRequirement.Untrusted);
  try {
    const decrypted = await machine.decryptRoomEvent(JSON.stringify(event), new RoomId(event.room_id), settings);
    return (JSON.parse(decrypted.event) as { content: { body: string } }).content.body;
  } catch (error) {
    if (error instanceof MegolmDecryptionError) return `unreadable: ${DecryptionErrorCode[error.code]}`;
    throw error;
  }
}

/** The texts of events, in their order. */
export async function textsOf(machine: OlmMachine, events: readonly EncryptedEvent[]): Promise<string[]> {
  const texts: string[] = [];
  for (const event of events) texts.push(await textOf(machine, event));
  return texts;
}

/** Encrypts a text for a room. Answers with the content of the event, as JSON. */
export function encryptText(machine: OlmMachine, roomId: string, body: string): Promise<string> {
  return machine.encryptRoomEvent(new RoomId(roomId), "m.room.message", JSON.stringify({ msgtype: "m.text", body }));
}
