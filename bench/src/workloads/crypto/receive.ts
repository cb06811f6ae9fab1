import { DeviceLists } from "@matrix-org/matrix-sdk-crypto-wasm";
import { bodyOf, decryptedEvent, encryptedEvent, oneTimeKeyCounts, roomKeyEvents } from "../../matrix/rooms.ts";
import { expectEqual } from "../workload.ts";
import type { CryptoWorkload } from "./scene.ts";

/** One sync that brings the keys of many rooms. */
export const receive: CryptoWorkload = async (scene, { sizes }) => {
  const { machine, peer } = scene;
  const rooms = scene.newRooms(sizes.rooms);
  const events = JSON.stringify(await roomKeyEvents(peer, machine, rooms));
  const messages: string[] = [];
  for (const [index, room] of rooms.entries()) messages.push(await encryptedEvent(peer, room, room, index));
  let received = 0;
  return {
    calls: 1,
    async run() {
      received = (await machine.receiveSyncChanges(events, new DeviceLists(), oneTimeKeyCounts())).length;
    },
    async check() {
      expectEqual("events received", received, rooms.length);
      for (const [index, room] of rooms.entries()) {
        const event = await decryptedEvent(machine, room, messages[index] ?? "");
        expectEqual("the message read with the room's key", bodyOf(event), room);
      }
    },
  };
};
