import { EncryptionSettings, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { type EncryptedEvent, encryptedEvent, encryptText, textsOf } from "../events.ts";
import type { Play, Scenario } from "../scenario.ts";

const ROOM = "!cut:localhost";
const KEYS = 10;

export const importRoomKeys: Scenario = {
  name: "importing room keys",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    const peer = await stage.peer("peer");
    const events: EncryptedEvent[] = [];
    const exported = await peer.engine.run(async (machine) => {
      for (let index = 0; index < KEYS; index += 1) {
        // A room key for each message.
        const settings = new EncryptionSettings();
        settings.rotationPeriodMessages = 1n;
        await machine.shareRoomKey(new RoomId(ROOM), [new UserId(peer.userId)], settings);
        events.push(encryptedEvent(ROOM, peer.userId, await encryptText(machine, ROOM, `message ${index}`)));
      }
      return machine.exportRoomKeys(() => true);
    });
    await stage.withUs((us) => us.flush());
    return async (): Promise<Play> => ({
      async act({ machine }) {
        await machine.importExportedRoomKeys(exported, () => {});
      },
      async found({ machine }) {
        const { total } = await machine.roomKeyCounts();
        if (total !== 0 && total !== KEYS) throw new Error(`${total} of ${KEYS} keys are there`);
        return total === 0 ? "nothing" : "everything";
      },
      async outcome({ machine }) {
        return { keys: (await machine.roomKeyCounts()).total, texts: await textsOf(machine, events) };
      },
    });
  },
};
