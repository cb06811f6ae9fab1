import { holdRequest, holdResponse } from "@holdfast/dev-homeserver/faults";
import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MEGOLM } from "./support/dev-rooms.ts";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

/** The types of what a user has sent since the beginning, in order. */
const sentBy = ({ credentials }: HomeserverClient) =>
  world.homeserver.journal
    .events()
    .filter(({ sender }) => sender === credentials.userId)
    .map(({ type }) => type);

const turnEncryptionOn = (user: HomeserverClient, room: string) =>
  user.call("PUT", `/rooms/${encodeURIComponent(room)}/state/m.room.encryption/`, MEGOLM);

/** A bot that has spoken in a plain room of Alice's. */
async function plainTalk() {
  const [alice, bot] = [await world.user("alice"), await world.user("bot")];
  const room = await world.room([alice, bot], false);
  const talking = await world.connected(bot);
  await talking.say(room, "plain, as it is");
  expect(sentBy(bot)).toEqual(["m.room.message"]);
  world.homeserver.journal.clear();
  return { alice, bot, room, talking };
}

describe("a room that was plain when this user left it, and is not any more", () => {
  /** The bot has left, encryption was turned on, and the bot is invited. */
  async function invitedBack() {
    const talk = await plainTalk();
    const { alice, bot, room, talking } = talk;
    await talking.client.leave(room);
    await turnEncryptionOn(alice, room);
    const invite = () =>
      alice.call("POST", `/rooms/${encodeURIComponent(room)}/invite`, { user_id: bot.credentials.userId });
    return { ...talk, invite };
  }

  it("is sent no plaintext by who joins it again, before any sync has told of it", async () => {
    const { bot, room, talking, invite } = await invitedBack();
    const held = world.homeserver.faults.always({ path: "/sync", userId: bot.credentials.userId }, holdResponse());
    await held.fired();
    await invite();
    await talking.client.join(room);
    await talking.say(room, "secret");
    const file = { bytes: Buffer.from("secret"), name: "secret.txt" };
    await talking.client.sendFile(room, file);
    expect(sentBy(bot)).toEqual(["m.room.encrypted", "m.room.encrypted"]);
    held.remove();
  });

  it("is sent no plaintext by a handler of the invitation that joins and greets", async () => {
    const { bot, talking, invite } = await invitedBack();
    const greeted = Promise.withResolvers<void>();
    talking.client.on("invite", async ({ roomId }) => {
      await talking.client.join(roomId);
      await talking.say(roomId, "secret");
      greeted.resolve();
    });
    await invite();
    await greeted.promise;
    expect(sentBy(bot)).toEqual(["m.room.encrypted"]);
  });
});

describe("a message to a plain room that was under way when the process ended", () => {
  it("goes out encrypted where the room has become so, although the next process has not synced yet", async () => {
    const { alice, bot, room, talking } = await plainTalk();
    const [path, userId] = ["/send/{eventType}/{txnId}", bot.credentials.userId];
    const held = world.homeserver.faults.next({ path, userId }, holdRequest());
    const saying = talking.say(room, "secret").catch((error) => error.code);
    await held.fired();
    await talking.client.close();
    expect(await saying).toBe("CLOSED");
    await turnEncryptionOn(alice, room);
    world.homeserver.journal.clear();
    const syncs = world.homeserver.faults.always({ path: "/sync", userId }, holdRequest());
    const next = world.client(bot).client;
    const connecting = next.connect();
    await expect.poll(() => sentBy(bot)).toEqual(["m.room.encrypted"]);
    syncs.remove();
    await connecting;
    expect(sentBy(bot)).toEqual(["m.room.encrypted"]);
  });

  it("goes out as it was where the room is still plain, which is asked at most once", async () => {
    const { bot, room, talking } = await plainTalk();
    const [path, userId] = ["/send/{eventType}/{txnId}", bot.credentials.userId];
    const held = world.homeserver.faults.next({ path, userId }, holdRequest());
    const saying = talking.say(room, "plain").catch((error) => error.code);
    await held.fired();
    await talking.client.close();
    await saying;
    world.homeserver.journal.clear();
    const again = world.client(bot);
    await again.client.connect();
    await expect.poll(() => sentBy(bot)).toEqual(["m.room.message"]);
    await again.say(room, "more");
    const asked = world.homeserver.journal.entries({ path: "/rooms/{roomId}/state/{eventType}/{stateKey?}", userId });
    expect(asked.length).toBeLessThanOrEqual(1);
  });
});
