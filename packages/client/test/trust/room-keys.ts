import { createHmac } from "node:crypto";
import { EncryptionSettings, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Device } from "./device.ts";

/** A room key, as far as two devices can agree on it. */
export interface KeyName {
  readonly roomId: string;
  readonly sessionId: string;
}

/** Makes a device have room keys of its own, one for each of so many rooms. Answers with all it has. */
export async function makeRoomKeys(device: Device, count: number): Promise<KeyName[]> {
  await device.encryption.run(async (machine) => {
    for (let at = 0; at < count; at += 1) {
      const roomId = `!${at}-${device.deviceId}:example.org`;
      await machine.shareRoomKey(new RoomId(roomId), [new UserId(device.user.userId)], new EncryptionSettings());
    }
  });
  return exportedKeys(device);
}

/** The room keys that a device has, in a fixed order. */
export async function exportedKeys(device: Device): Promise<KeyName[]> {
  const json = await device.encryption.run((machine) => machine.exportRoomKeys(() => true));
  return keyNames(json);
}

/** The names of exported room keys, in a fixed order. */
export function keyNames(json: string): KeyName[] {
  const keys = JSON.parse(json) as { readonly room_id: string; readonly session_id: string }[];
  return keys
    .map(({ room_id: roomId, session_id: sessionId }) => ({ roomId, sessionId }))
    .sort((a, b) => a.sessionId.localeCompare(b.sessionId));
}

/**
 * The same exported key for messages from index 1 on: the last of the ratchet's
 * four parts is advanced once (Megolm, "Advancing the ratchet" and "Session export format").
 */
export function fromIndexOne(sessionKey: string): string {
  const bytes = Buffer.from(sessionKey, "base64");
  const last = 5 + 3 * 32;
  bytes.writeUInt32BE(1, 1);
  createHmac("sha256", bytes.subarray(last, last + 32))
    .update(Uint8Array.of(3))
    .digest()
    .copy(bytes, last);
  return bytes.toString("base64").replace(/=+$/, "");
}
