import { MatrixClient } from "@holdfast/client";

const client = MatrixClient.fromEnv(process.env, { logger: console });

client.on("invite", ({ roomId }) => client.join(roomId));
client.on("message", async (message) => {
  // A notice is what another bot says: two that answer each other never end.
  if (message.content.msgtype !== "m.text") return;
  await client.reply(message, { msgtype: "m.notice", body: String(message.content.body) });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void client.close());
await client.connect();
console.info(`${client.userId} is here, device ${client.deviceId}, mode ${client.mode}`);
