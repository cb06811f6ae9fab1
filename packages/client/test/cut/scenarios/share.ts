import { type HomeserverClient, Party } from "@holdfast/dev-homeserver/party";
import type { DeviceRef } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { EncryptionSettings, type OlmMachine, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OlmEngine } from "../../../src/index.ts";
import { encryptedEvent, encryptText, receiveSync, textsOf } from "../events.ts";
import { type Ciphertext, reused } from "../megolm.ts";
import { openEngine, type Play, type Scenario, type Stage } from "../scenario.ts";
import { restore, type Snapshot, takeSnapshot } from "../snapshot.ts";

const ROOM = "!cut:localhost";

/** A peer that begins each life of the device anew: it must not know what another life sent it. */
class RestorablePeer {
  readonly device: DeviceRef;
  readonly #snapshot: Snapshot;

  private constructor(device: DeviceRef, snapshot: Snapshot) {
    this.device = device;
    this.#snapshot = snapshot;
  }

  static async make(client: HomeserverClient, live: (party: Party) => Promise<void>): Promise<RestorablePeer> {
    await using keyStore = new MemoryKeyStore({ storage: new MemoryStorage() });
    await keyStore.init();
    const engine = await openEngine(keyStore, client.credentials);
    await live(new Party({ client, engine }));
    await engine.close();
    return new RestorablePeer(client.credentials, await takeSnapshot(keyStore, client.credentials));
  }

  async with<T>(work: (engine: OlmEngine) => Promise<T>): Promise<T> {
    await using keyStore = new MemoryKeyStore();
    await keyStore.init();
    await restore(keyStore, this.device, this.#snapshot);
    await using engine = await openEngine(keyStore, this.device);
    return await work(engine);
  }
}

/** A device with an Olm session to a peer, and the peer, which has it too. */
async function acquaintance(stage: Stage): Promise<RestorablePeer> {
  return RestorablePeer.make(await stage.peerClient("peer"), async (peer) => {
    await peer.flush();
    await stage.withUs(async (us) => {
      await us.flush();
      const room = await us.createEncryptedRoom([peer.userId]);
      await peer.join(room);
      await us.sync();
      await us.sendText(room, "first contact");
      const { received } = await peer.sync();
      if (received.every(({ kind }) => kind !== "decrypted")) throw new Error("the peer has no session");
    });
  });
}

/** What the homeserver keeps for the peer: a request that is made again under its transaction's id is none. */
class ToDeviceInbox {
  readonly #byTransaction = new Map<string, unknown>();
  readonly #sender: string;
  readonly #receiver: DeviceRef;

  constructor(sender: string, receiver: DeviceRef) {
    this.#sender = sender;
    this.#receiver = receiver;
  }

  put(transactionId: string, body: string): void {
    const { messages } = JSON.parse(body) as { messages: Record<string, Record<string, unknown>> };
    const content = messages[this.#receiver.userId]?.[this.#receiver.deviceId];
    if (content === undefined) throw new Error("the request is not for the peer");
    if (this.#byTransaction.has(transactionId)) return;
    this.#byTransaction.set(transactionId, { type: "m.room.encrypted", sender: this.#sender, content });
  }

  get events(): readonly unknown[] {
    return [...this.#byTransaction.values()];
  }
}

export const shareRoomKey: Scenario = {
  name: "sharing a room key",
  // One for the room key with its messages, one for the knowledge that they were sent.
  commits: 2,
  begins: "acting",
  async prepare(stage) {
    const peer = await acquaintance(stage);
    const us = stage.device.userId;
    const members = () => [new UserId(us), new UserId(peer.device.userId)];
    const share = (machine: OlmMachine) => machine.shareRoomKey(new RoomId(ROOM), members(), new EncryptionSettings());
    return async (): Promise<Play> => {
      const inbox = new ToDeviceInbox(us, peer.device);
      return {
        async act({ machine }, left) {
          for (const request of await share(machine)) {
            inbox.put(request.txn_id, left.leave(request.body));
            await machine.markRequestAsSent(request.id ?? "", request.type, "{}");
          }
        },
        async outcome({ machine }, left) {
          const sent: Ciphertext[] = [];
          for (const body of ["one", "two"]) {
            sent.push({ body, content: left.leave(await encryptText(machine, ROOM, body)) });
          }
          const events = sent.map(({ content }) => encryptedEvent(ROOM, us, content));
          const texts = await peer.with(async (engine) => {
            await receiveSync(engine.machine, { to_device: { events: inbox.events } });
            return textsOf(engine.machine, events);
          });
          return { texts, reused: reused(sent), stillToShare: (await share(machine)).length };
        },
      };
    };
  },
};

export const encryptRoomEvent: Scenario = {
  name: "encrypting a room event",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    const peer = await stage.peer("peer");
    const us = stage.device.userId;
    const { room, before } = await stage.withUs(async (party, { machine }) => {
      await party.flush();
      const room = await party.createEncryptedRoom([peer.userId]);
      await peer.join(room);
      await party.shareRoomKey(room);
      await peer.sync();
      return { room, before: { body: "before", content: await encryptText(machine, room, "before") } };
    });
    return async (): Promise<Play> => {
      const sent: Ciphertext[] = [before];
      let attempts = 0;
      const send = async ({ machine }: OlmEngine, left: Parameters<Play["act"]>[1], body: string) => {
        sent.push({ body, content: left.leave(await encryptText(machine, room, body)) });
      };
      return {
        async act(engine, left) {
          attempts += 1;
          // Another text each time: were one's ciphertext to leave before it is saved, the other would share its key.
          await send(engine, left, `attempt ${attempts}`);
        },
        async outcome(engine, left) {
          await send(engine, left, "after");
          const texts = await peer.engine.run((machine) =>
            textsOf(
              machine,
              sent.map(({ content }) => encryptedEvent(room, us, content)),
            ),
          );
          const unread = texts.filter((text, index) => text !== sent[index]?.body);
          return { sent: sent.length, unread, reused: reused(sent) };
        },
      };
    };
  },
};
