import {
  DecryptionSettings,
  EncryptionSettings,
  type OlmMachine,
  RoomId,
  type ToDeviceRequest,
  TrustRequirement,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";

/** The bodies of some messages. */
export function bodies(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `message ${index}`);
}

/** A room message's content, as JSON. */
export function messageContent(body: string): string {
  return JSON.stringify({ msgtype: "m.text", body });
}

/** Shares a new room key with a user, and says that each request was sent; answers with the requests. */
export async function shareRoomKey(machine: OlmMachine, room: string, userId: string): Promise<ToDeviceRequest[]> {
  const requests = await machine.shareRoomKey(new RoomId(room), [new UserId(userId)], roomSettings());
  for (const { id, type } of requests) await machine.markRequestAsSent(id, type, "{}");
  return requests;
}

/** Shares a sender's new key of each room with a device: the to-device events, as a sync brings them. */
export async function roomKeyEvents(sender: OlmMachine, to: OlmMachine, rooms: readonly string[]): Promise<object[]> {
  const [userId, deviceId] = [to.userId.toString(), to.deviceId.toString()];
  const events: object[] = [];
  for (const room of rooms) {
    for (const request of await shareRoomKey(sender, room, userId)) {
      const content = JSON.parse(request.body).messages[userId][deviceId];
      events.push({ sender: sender.userId.toString(), type: request.event_type, content });
    }
  }
  return events;
}

/** The room event that a message becomes when its sender has encrypted it. */
export async function encryptedEvent(sender: OlmMachine, room: string, body: string, index: number): Promise<string> {
  const content = await sender.encryptRoomEvent(new RoomId(room), "m.room.message", messageContent(body));
  return JSON.stringify({
    event_id: `$${index}`,
    type: "m.room.encrypted",
    sender: sender.userId.toString(),
    origin_server_ts: 1_700_000_000_000 + index,
    content: JSON.parse(content),
  });
}

/** The decrypted event, as JSON. */
export async function decryptedEvent(machine: OlmMachine, room: string, event: string): Promise<string> {
  const settings = new DecryptionSettings(TrustRequirement.Untrusted);
  return (await machine.decryptRoomEvent(event, new RoomId(room), settings)).event;
}

/** The body of the message in a decrypted event. */
export function bodyOf(event: string): string {
  return JSON.parse(event).content.body;
}

/** How many one-time keys the homeserver still has, as every sync says: enough. */
export function oneTimeKeyCounts(): Map<string, number> {
  return new Map([["signed_curve25519", 50]]);
}

/** A new object for every call: the engine takes what it is given. */
function roomSettings(): EncryptionSettings {
  const settings = new EncryptionSettings();
  // A workload's messages all go under one key.
  settings.rotationPeriodMessages = 1_000_000n;
  return settings;
}
