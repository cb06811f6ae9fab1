import { startDevHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { expect, it } from "vitest";
import { Bot, exampleFile } from "./support/bot.ts";
import { Stage } from "./support/stage.ts";

it("the echo bot without any environment brings a homeserver along, says how to get there, and answers there", async () => {
  await using unused = await startDevHomeserver();
  await using stage = await Stage.on(unused);
  const bot = new Bot(stage, exampleFile("echo-bot/src/start.ts"), { PORT: "0" });
  await bot.says("is here, device ECHO, mode development");
  const [, baseUrl = "", userId = ""] = /homeserver (http:\S+) {3}the bot (\S+)/.exec(bot.lines.join("\n")) ?? [];
  const sdk = await stage.sdk(await HomeserverClient.register(baseUrl, "alice"));
  const { room_id: roomId } = await sdk.client.createRoom({
    invite: [userId],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
  });
  await sdk.say(roomId, "anybody there?", [{ userId }]);
  await sdk.reads("anybody there?");
  expect(sdk.messages.map((event) => [event.getSender(), event.isEncrypted()])).toEqual([["@echo:localhost", true]]);
  expect(await bot.end("SIGTERM")).toBe(0);
  expect(unused.journal.entries()).toEqual([]);
});
