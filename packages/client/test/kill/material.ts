import { startDevHomeserver } from "@holdfast/dev-homeserver";
import { type Engine, HomeserverClient, inMemoryEngine, Party } from "@holdfast/dev-homeserver/party";
import { EncryptionSettings, type OlmMachine, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { type EncryptedEvent, encryptedEvent, encryptText } from "../cut/events.ts";
import { identityOf, openEngine } from "../cut/scenario.ts";
import type { Life, Round, Storage } from "./life.ts";
import { openStorage } from "./storage.ts";

/** A device that has just met its peer, and everything that it will be sent. */
export interface Material {
  readonly life: Omit<Life, "readable" | "rounds" | "toBeKilled">;
  readonly identity: string;
  readonly rounds: readonly Round[];
  /** Who has the key of the room that the device sends to. */
  readonly peer: Engine;
}

/** Makes a device on a storage and its peer on a homeserver, and what the peer sends in so many rounds. */
export async function makeMaterial(storage: Storage, count: number): Promise<Material> {
  await using server = await startDevHomeserver();
  const register = (name: string) => HomeserverClient.register(server.url, name, { deviceId: "DEVICE" });
  const [client, peerClient] = [await register("us"), await register("peer")];
  const peer = new Party({ client: peerClient, engine: await inMemoryEngine(peerClient.credentials.userId, "DEVICE") });
  await peer.flush();
  await using keyStore = await openStorage(storage);
  await using engine = await openEngine(keyStore, client.credentials);
  const us = new Party({ client, engine });
  await us.flush();
  const room = await us.createEncryptedRoom([peer.userId]);
  await peer.join(room);
  await us.sync();
  await us.sendText(room, "from the device");
  await peer.sync();
  await peer.sendText(room, "from the peer");
  await us.sync();
  const { userId, deviceId } = client.credentials;
  const [received, imported] = [await sharedKeys(peer, userId, count), await exportedKeys(count)];
  const rounds = received.map((key, index): Round => {
    const file = imported[index];
    if (file === undefined) throw new Error("a round lacks its file");
    return { received: key, imported: file, sent: `sent ${index}` };
  });
  return {
    life: { storage, userId, deviceId, room },
    identity: identityOf(engine),
    rounds,
    peer: peer.engine,
  };
}

/** Room keys that a peer shares with a device, each in a room of its own. */
function sharedKeys(peer: Party, userId: string, count: number): Promise<Round["received"][]> {
  return peer.engine.run((machine) =>
    times(count, async (index) => {
      const room = `!received-${index}:localhost`;
      const [request] = await machine.shareRoomKey(new RoomId(room), [new UserId(userId)], new EncryptionSettings());
      if (request === undefined) throw new Error("the peer has nobody to share with");
      const { messages } = JSON.parse(request.body) as { messages: Record<string, Record<string, unknown>> };
      const toDevice = { type: "m.room.encrypted", sender: peer.userId, content: messages[userId]?.DEVICE };
      const text = `received ${index}`;
      return { toDevice, text, event: await messageIn(machine, room, peer.userId, text) };
    }),
  );
}

/** Room keys that somebody exported, each with a message. */
async function exportedKeys(count: number): Promise<Round["imported"][]> {
  const userId = "@exporter:localhost";
  const engine = await inMemoryEngine(userId, "DEVICE");
  return engine.run((machine) =>
    times(count, async (index) => {
      const room = `!imported-${index}:localhost`;
      await machine.shareRoomKey(new RoomId(room), [new UserId(userId)], new EncryptionSettings());
      const text = `imported ${index}`;
      const event = await messageIn(machine, room, userId, text);
      return { event, text, keys: await machine.exportRoomKeys((session) => session.roomId.toString() === room) };
    }),
  );
}

async function messageIn(machine: OlmMachine, room: string, sender: string, text: string): Promise<EncryptedEvent> {
  return encryptedEvent(room, sender, await encryptText(machine, room, text));
}

async function times<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let index = 0; index < count; index += 1) made.push(await make(index));
  return made;
}
