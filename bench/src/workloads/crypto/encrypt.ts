import { RoomId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { bodies, messageContent, shareRoomKey } from "../../matrix/rooms.ts";
import { expectEqual } from "../workload.ts";
import { type CryptoWorkload, PEER } from "./scene.ts";

/** Messages encrypted in one room, whose key the peer has. */
export const encrypt: CryptoWorkload = async (scene, { sizes }) => {
  const { machine } = scene;
  const [room = ""] = scene.newRooms(1);
  await shareRoomKey(machine, room, PEER.userId);
  const contents = bodies(sizes.events).map(messageContent);
  const ciphertexts = new Set<string>();
  return {
    calls: contents.length,
    async run() {
      for (const content of contents) {
        ciphertexts.add(await machine.encryptRoomEvent(new RoomId(room), "m.room.message", content));
      }
    },
    async check() {
      expectEqual("different ciphertexts", ciphertexts.size, contents.length);
    },
  };
};
