import { DeviceLists, RoomId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { anyTrust, encrypted, roomIds, roomKeysFromPeer, setScene } from "./scene.ts";
import { expectEqual, type Workload } from "./workload.ts";

/** One sync that brings the keys of many rooms. */
export const receive: Workload = async (subject, { sizes }) => {
  const scene = await setScene(subject);
  const { machine, peer, close } = scene;
  const rooms = roomIds(sizes.rooms);
  const events = JSON.stringify(await roomKeysFromPeer(scene, rooms));
  const messages: string[] = [];
  for (const [index, room] of rooms.entries()) messages.push(await encrypted(peer, room, room, index));
  let received = 0;
  return {
    calls: 1,
    async run() {
      const counts = new Map([["signed_curve25519", 50]]);
      received = (await machine.receiveSyncChanges(events, new DeviceLists(), counts)).length;
    },
    async finish() {
      expectEqual("events received", received, rooms.length);
      for (const [index, room] of rooms.entries()) {
        const message = messages[index] ?? "";
        const { event } = await machine.decryptRoomEvent(message, new RoomId(room), anyTrust());
        expectEqual("the message read with the room's key", JSON.parse(event).content.body, room);
      }
      await close();
    },
  };
};
