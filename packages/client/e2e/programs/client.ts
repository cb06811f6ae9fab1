import { MatrixClient } from "../../src/index.ts";
import { type Ask, candidateOn, type Life, type Told } from "./life.ts";

const life = JSON.parse(process.argv[2] ?? "") as Life;
const tell = (told: Told): void => void process.send?.(told);

const client = new MatrixClient({
  homeserver: life.homeserver,
  accessToken: life.accessToken,
  key: new Uint8Array(32).fill(7),
  keyStores: [candidateOn(life.storage)],
  longPollMs: 5_000,
});
client.on("message", async (message) => {
  tell({ told: "reading", body: String(message.content.body), eventId: message.eventId });
  if (life.onMessage === "hang") await new Promise(() => {});
  await client.reply(message, { msgtype: "m.notice", body: `heard: ${message.content.body}` });
  tell({ told: "answered" });
});
process.on("message", async ({ roomId, body, transactionId }: Ask) => {
  const { eventId } = await client.sendText(roomId, body, { transactionId });
  tell({ told: "sent", eventId });
});
await client.connect();
tell({ told: "connected", ed25519: client.identity?.ed25519 });
