/** One life of a bot on matrix-js-sdk: joins what it is invited to, says what it reads, answers to its name. */
import { install, mount } from "../../../src/index.ts";
import { say } from "../../durability/say.ts";
import { openDevice } from "../../durability/storage.ts";
import type { BotLife, BotSaid } from "../matrix-bot.ts";

const life = JSON.parse(process.argv[2] ?? "") as BotLife;
const tell = (said: BotSaid): void => say(said);

const { device } = await openDevice(life.storage);
mount("bot", device);
install();

const { createClient, KnownMembership, MatrixEventEvent, RoomEvent } = await import("matrix-js-sdk");
const client = createClient({
  baseUrl: life.homeserver,
  userId: life.userId,
  deviceId: life.deviceId,
  accessToken: life.accessToken,
});
await client.initRustCrypto({
  useIndexedDB: true,
  cryptoDatabasePrefix: "bot",
  storageKey: Buffer.from(life.storageKey, "base64"),
});
const keys = await client.getCrypto()?.getOwnDeviceKeys();
tell({ told: "identity", ed25519: keys?.ed25519, curve25519: keys?.curve25519 });

client.on(RoomEvent.MyMembership, (room, membership) => {
  if (membership === KnownMembership.Invite) void client.joinRoom(room.roomId);
  if (membership === KnownMembership.Join) tell({ told: "joined" });
});
client.on(MatrixEventEvent.Decrypted, (event) => {
  if (event.getSender() === life.userId) return;
  const { body } = event.getContent();
  tell({ told: "read", body, failure: event.decryptionFailureReason });
  const roomId = event.getRoomId();
  if (body === `hello ${life.name}` && roomId !== undefined) {
    void client.sendTextMessage(roomId, `${life.name} is here`);
  }
});
await client.startClient({ initialSyncLimit: 50 });
