import {
  DecryptionSettings,
  DeviceId,
  EncryptionSettings,
  OlmMachine,
  RoomId,
  type ToDeviceRequest,
  TrustRequirement,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import { DEVICE, type OpenEngine, type Subject } from "../engines/subject.ts";
import { introduce } from "../matrix/introduce.ts";

const PEER = { userId: "@peer:localhost", deviceId: "PEER" } as const;

/** The measured device, open, and another one, in this process's memory, that it knows and has Olm sessions with. */
export interface Scene extends OpenEngine {
  readonly peer: OlmMachine;
}

export async function setScene(subject: Subject): Promise<Scene> {
  const { machine, close } = await subject.open();
  const peer = await OlmMachine.initialize(new UserId(PEER.userId), new DeviceId(PEER.deviceId));
  await introduce(machine, peer);
  return { machine, peer, close };
}

/** Shares a new room key with a user: the requests, sent. */
export async function shareRoomKey(machine: OlmMachine, room: string, userId: string): Promise<ToDeviceRequest[]> {
  const requests = await machine.shareRoomKey(new RoomId(room), [new UserId(userId)], roomSettings());
  for (const { id, type } of requests) await machine.markRequestAsSent(id, type, "{}");
  return requests;
}

/** Shares the peer's new key of each room with the measured device: the to-device events, as a sync brings them. */
export async function roomKeysFromPeer({ peer }: Scene, rooms: readonly string[]): Promise<object[]> {
  const events: object[] = [];
  for (const room of rooms) {
    for (const request of await shareRoomKey(peer, room, DEVICE.userId)) {
      const { messages } = JSON.parse(request.body);
      const content = messages[DEVICE.userId][DEVICE.deviceId];
      events.push({ sender: PEER.userId, type: request.event_type, content });
    }
  }
  return events;
}

/** The room event that a message becomes when its sender has encrypted it. */
export async function encrypted(machine: OlmMachine, room: string, body: string, index: number): Promise<string> {
  const content = await machine.encryptRoomEvent(new RoomId(room), "m.room.message", messageContent(body));
  return JSON.stringify({
    event_id: `$${index}`,
    type: "m.room.encrypted",
    sender: machine.userId.toString(),
    origin_server_ts: 1_700_000_000_000 + index,
    content: JSON.parse(content),
  });
}

/** A room message's content, as JSON. */
export function messageContent(body: string): string {
  return JSON.stringify({ msgtype: "m.text", body });
}

/** The names of some rooms. */
export function roomIds(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `!room-${index}:localhost`);
}

/** The bodies of some messages. */
export function bodies(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `message ${index}`);
}

export function anyTrust(): DecryptionSettings {
  return new DecryptionSettings(TrustRequirement.Untrusted);
}

/** A new object for every call: the engine takes what it is given. */
function roomSettings(): EncryptionSettings {
  const settings = new EncryptionSettings();
  // A workload's messages all go under one key.
  settings.rotationPeriodMessages = 1_000_000n;
  return settings;
}

export { PEER };
