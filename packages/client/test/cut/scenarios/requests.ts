import { path } from "@holdfast/dev-homeserver/party";
import { DeviceId, EncryptionSettings, RequestType, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { encryptedEvent, encryptText, receiveSync, type SyncBody, textsOf } from "../events.ts";
import type { Play, Scenario } from "../scenario.ts";

const ROOM = "!cut:localhost";

export const answerKeysQuery: Scenario = {
  name: "taking in the answer to a keys query",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    const peer = await stage.peer("peer");
    const user = () => new UserId(peer.userId);
    const { deviceId } = peer.client.credentials;
    await stage.withUs(async (us, { machine }) => {
      await us.flush();
      await machine.updateTrackedUsers([user()]);
    });
    const identity = await peer.identity();
    return async (): Promise<Play> => ({
      async act({ machine }, left) {
        for (const { id, type, body } of await machine.outgoingRequests()) {
          if (type !== RequestType.KeysQuery || id === undefined) continue;
          const answer = await stage.client.call("POST", "/keys/query", left.leave(body));
          await machine.markRequestAsSent(id, type, JSON.stringify(answer));
        }
      },
      async found({ machine }) {
        return (await machine.getDevice(user(), new DeviceId(deviceId), 0)) === undefined ? "nothing" : "everything";
      },
      async outcome({ machine }) {
        const device = await machine.getDevice(user(), new DeviceId(deviceId), 0);
        return {
          isThePeers:
            device?.curve25519Key?.toBase64() === identity.curve25519 &&
            device.ed25519Key?.toBase64() === identity.ed25519,
          stillToAsk: (await machine.outgoingRequests()).length,
          tracked: Array.from(await machine.trackedUsers(), String).includes(peer.userId),
        };
      },
    });
  },
};

export const answerKeysClaim: Scenario = {
  name: "taking in the answer to a claim",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    const peer = await stage.peer("peer");
    const user = () => new UserId(peer.userId);
    const us = stage.device.userId;
    await stage.withUs(async (party, { machine }) => {
      await party.flush();
      await machine.updateTrackedUsers([user()]);
      await party.flush();
    });
    await peer.sync();
    let lives = 0;
    return async (): Promise<Play> => {
      lives += 1;
      const room = ROOM.replace("cut", `cut-${lives}`);
      return {
        async act({ machine }, left) {
          const request = await machine.getMissingSessions([user()]);
          if (request === null) return;
          const answer = await stage.client.call("POST", "/keys/claim", left.leave(request.body));
          await machine.markRequestAsSent(request.id, request.type, JSON.stringify(answer));
        },
        async found({ machine }) {
          return (await machine.getMissingSessions([user()])) === null ? "everything" : "nothing";
        },
        async outcome({ machine }, left) {
          const missing = await machine.getMissingSessions([user()]);
          const shares = await machine.shareRoomKey(new RoomId(room), [user()], new EncryptionSettings());
          for (const { event_type, txn_id, body } of shares) {
            await stage.client.call("PUT", path("sendToDevice", event_type, txn_id), left.leave(body));
          }
          const content = left.leave(await encryptText(machine, room, "by this session"));
          const since = peer.since === undefined ? "" : `?since=${peer.since}`;
          const body = (await peer.client.call("GET", `/sync${since}`)) as unknown as SyncBody;
          const texts = await peer.engine.run(async (receiver) => {
            await receiveSync(receiver, body);
            return textsOf(receiver, [encryptedEvent(room, us, content)]);
          });
          return { hasSession: missing === null, shares: shares.length, texts };
        },
      };
    };
  },
};
