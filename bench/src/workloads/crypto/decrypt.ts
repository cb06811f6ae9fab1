import { DeviceLists } from "@matrix-org/matrix-sdk-crypto-wasm";
import { bodies, bodyOf, decryptedEvent, encryptedEvent, oneTimeKeyCounts, roomKeyEvents } from "../../matrix/rooms.ts";
import { expectEqual } from "../workload.ts";
import type { CryptoWorkload } from "./scene.ts";

/** The peer's messages in one room, whose key the device has. */
export const decrypt: CryptoWorkload = async (scene, { sizes }) => {
  const { machine, peer } = scene;
  const [room = ""] = scene.newRooms(1);
  const keys = await roomKeyEvents(peer, machine, [room]);
  await machine.receiveSyncChanges(JSON.stringify(keys), new DeviceLists(), oneTimeKeyCounts());
  const sent = bodies(sizes.events);
  const events: string[] = [];
  for (const [index, body] of sent.entries()) events.push(await encryptedEvent(peer, room, body, index));
  const read: string[] = [];
  return {
    calls: events.length,
    async run() {
      for (const event of events) read.push(await decryptedEvent(machine, room, event));
    },
    async check() {
      expectEqual("messages read", read.map(bodyOf).join("\n"), sent.join("\n"));
    },
  };
};
