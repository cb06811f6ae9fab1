import { shareRoomKey } from "../../matrix/rooms.ts";
import { expectEqual } from "../workload.ts";
import { type CryptoWorkload, PEER } from "./scene.ts";

/** A new room key shared in each of many rooms: two calls each, to make the request and to say that it was sent. */
export const share: CryptoWorkload = async (scene, { sizes }) => {
  const { machine } = scene;
  const rooms = scene.newRooms(sizes.rooms);
  let requests = 0;
  return {
    calls: 2 * rooms.length,
    async run() {
      for (const room of rooms) requests += (await shareRoomKey(machine, room, PEER.userId)).length;
    },
    async check() {
      expectEqual("requests", requests, rooms.length);
    },
  };
};
