import {
  ClientEvent,
  createClient,
  EventType,
  type MatrixEvent,
  MatrixEventEvent,
  MsgType,
  RoomEvent,
  RoomMemberEvent,
} from "matrix-js-sdk";
import { keepKeys } from "./keys.ts";

const { MATRIX_HOMESERVER = "", MATRIX_ACCESS_TOKEN = "" } = process.env;
const who = await createClient({ baseUrl: MATRIX_HOMESERVER, accessToken: MATRIX_ACCESS_TOKEN }).whoami();
const [userId, deviceId] = [who.user_id, who.device_id ?? ""];

const { storageKey } = await keepKeys(userId, deviceId);

const client = createClient({ baseUrl: MATRIX_HOMESERVER, accessToken: MATRIX_ACCESS_TOKEN, userId, deviceId });
await client.initRustCrypto({ useIndexedDB: true, cryptoDatabasePrefix: "sdk", storageKey });

const began = Date.now();
const answer = async (event: MatrixEvent): Promise<void> => {
  const { msgtype, body } = event.getContent();
  if (event.getType() !== EventType.RoomMessage || msgtype !== MsgType.Text) return;
  if (event.getSender() === userId || event.getTs() < began) return;
  await client.sendNotice(event.getRoomId() ?? "", String(body));
};

client.on(RoomMemberEvent.Membership, (_, member) => {
  if (member.userId === userId && member.membership === "invite") void client.joinRoom(member.roomId);
});
client.on(RoomEvent.Timeline, (event) => {
  if (!event.isEncrypted()) void answer(event);
});
// Comes once more for an event whose key comes late: what could not be read is no text.
client.on(MatrixEventEvent.Decrypted, (event) => void answer(event));
client.once(ClientEvent.Sync, (state) => console.info(`${userId} is here, device ${deviceId}: ${state}`));
await client.startClient();
