import type { Party } from "@holdfast/dev-homeserver/party";
import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import { encryptedEvents, receiveSync, type SyncBody, textsOf } from "../events.ts";
import type { Play, Scenario, Stage } from "../scenario.ts";

const COLLECTION = "cut";
const TOKEN = Buffer.from("token");

/**
 * A sync with two room keys: one from a peer known before, and one in the
 * first message of a stranger, which spends a one-time key.
 */
async function twoRoomKeys(stage: Stage): Promise<SyncBody> {
  const [friend, stranger] = [await stage.peer("friend"), await stage.peer("stranger")];
  return stage.withUs(async (us) => {
    await us.flush();
    const roomOf = async (peer: Party): Promise<string> => {
      const room = await peer.createEncryptedRoom([us.userId]);
      await us.join(room);
      return room;
    };
    const known = await roomOf(friend);
    await friend.sendText(known, "before");
    await us.sync();
    const rooms = [await roomOf(friend), await roomOf(stranger)];
    await us.sync();
    for (const [index, peer] of [friend, stranger].entries()) await peer.sendText(String(rooms[index]), `key ${index}`);
    return (await us.client.call("GET", `/sync?since=${us.since}`)) as unknown as SyncBody;
  });
}

const keysOf = async (machine: OlmMachine): Promise<number> => (await machine.roomKeyCounts()).total;

/** How many room keys the device has of its past: the rest of the sync's two are new. */
const KNOWN_KEYS = 1;

export const receiveRoomKeys: Scenario = {
  name: "receiving room keys",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    const body = await twoRoomKeys(stage);
    return async (): Promise<Play> => ({
      async act(engine) {
        await receiveSync(engine.machine, body);
      },
      async found({ machine }) {
        return (await keysOf(machine)) === KNOWN_KEYS ? "nothing" : "everything";
      },
      async outcome({ machine }) {
        return { keys: await keysOf(machine), texts: await textsOf(machine, encryptedEvents(body)) };
      },
    });
  },
};

export const receiveSyncWithToken: Scenario = {
  name: "taking in a sync with its token",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    const body = await twoRoomKeys(stage);
    return async (): Promise<Play> => {
      // The homeserver: once the token comes back to it, it does not deliver again.
      let acknowledged = false;
      const token = async ({ deviceStore }: Parameters<Play["act"]>[0]) =>
        Buffer.from((await deviceStore.get(COLLECTION, TOKEN)) ?? []).toString();
      return {
        async act(engine, left) {
          acknowledged ||= (await token(engine)) === body.next_batch;
          if (acknowledged) return;
          await engine.run(async (machine) => {
            await receiveSync(machine, body);
            const value = Buffer.from(body.next_batch);
            await engine.deviceStore.commit([{ type: "put", collection: COLLECTION, key: TOKEN, value }]);
          });
          left.leave(body.next_batch);
        },
        async found(engine) {
          const [saved, keys] = [await token(engine), await keysOf(engine.machine)];
          if (saved === "" && keys === KNOWN_KEYS) return "nothing";
          if (saved === body.next_batch && keys === KNOWN_KEYS + 2) return "everything";
          throw new Error(`the token is ${saved || "not there"}, and there are ${keys} keys`);
        },
        async outcome(engine) {
          const { machine } = engine;
          return {
            token: (await token(engine)) === body.next_batch,
            texts: await textsOf(machine, encryptedEvents(body)),
          };
        },
      };
    };
  },
};
