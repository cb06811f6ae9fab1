import { DeviceLists, RoomId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { anyTrust, bodies, encrypted, roomIds, roomKeysFromPeer, setScene } from "./scene.ts";
import { expectEqual, type Workload } from "./workload.ts";

/** The peer's messages in one room, whose key the device has. */
export const decrypt: Workload = async (subject, { sizes }) => {
  const scene = await setScene(subject);
  const { machine, peer, close } = scene;
  const [room = ""] = roomIds(1);
  const keys = await roomKeysFromPeer(scene, [room]);
  await machine.receiveSyncChanges(JSON.stringify(keys), new DeviceLists(), new Map([["signed_curve25519", 50]]));
  const sent = bodies(sizes.events);
  const events: string[] = [];
  for (const [index, body] of sent.entries()) events.push(await encrypted(peer, room, body, index));
  const read: string[] = [];
  return {
    calls: events.length,
    async run() {
      for (const event of events) {
        const decrypted = await machine.decryptRoomEvent(event, new RoomId(room), anyTrust());
        read.push(decrypted.event);
      }
    },
    async finish() {
      const bodiesRead = read.map((event) => JSON.parse(event).content.body);
      expectEqual("messages read", bodiesRead.join("\n"), sent.join("\n"));
      await close();
    },
  };
};
