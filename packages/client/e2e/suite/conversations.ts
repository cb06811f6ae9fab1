import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { expect, it } from "vitest";
import type { Watched } from "../../test/support/world.ts";
import { expectNoKeyTwice } from "../support/no-key-twice.ts";
import { Stage } from "../support/stage.ts";
import type { There } from "./suite.ts";

/** Our client, and matrix-js-sdk, in a room. */
async function ourselvesAndSdk(stage: Stage) {
  const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
  const [ours, sdk] = [await stage.ours(alice), await stage.sdk(bob)];
  return { alice, bob, ours, sdk };
}

/** What was read by our client, where each is to be there once. */
const read = (watched: readonly Watched[]): string[] => watched.flatMap(({ bodies }) => bodies);

export function conversationSuite(there: There): void {
  it("at first contact each side reads what the other has sent", async () => {
    await using stage = await Stage.on(there());
    const { alice, bob, ours, sdk } = await ourselvesAndSdk(stage);
    const roomId = await ours.client.createRoom({ encrypted: true, invite: [bob.credentials.userId] });
    await sdk.client.joinRoom(roomId);
    await ours.say(roomId, "hello");
    await sdk.reads("hello");
    await sdk.say(roomId, "hello yourself", [alice.credentials]);
    await ours.until(() => ours.messages.length === 1);
    expect(ours.messages[0]).toMatchObject({
      roomId,
      sender: bob.credentials.userId,
      encrypted: true,
      late: false,
      content: { body: "hello yourself" },
    });
    expect(stage.homeserver.journal.events(roomId).map(({ type }) => type)).toEqual([
      "m.room.encrypted",
      "m.room.encrypted",
    ]);
    expect([ours.undecryptable, ours.errors]).toEqual([[], []]);
  });

  it("at first contact in a room that matrix-js-sdk makes, too", async () => {
    await using stage = await Stage.on(there());
    const { alice, bob, ours, sdk } = await ourselvesAndSdk(stage);
    const invited = Promise.withResolvers<string | undefined>();
    ours.client.on("invite", async ({ roomId, inviter }) => {
      await ours.client.join(roomId);
      invited.resolve(inviter);
    });
    const { room_id: roomId } = await sdk.client.createRoom({
      invite: [alice.credentials.userId],
      initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    expect(await invited.promise).toBe(bob.credentials.userId);
    await sdk.say(roomId, "welcome", [alice.credentials]);
    await ours.until(() => ours.bodies.includes("welcome"));
    await ours.say(roomId, "thank you");
    await sdk.reads("thank you");
    expect(sdk.messages.map((event) => [event.getContent().body, event.isEncrypted()])).toEqual([["thank you", true]]);
  });

  it("goes on over a restart of either side at every step", async () => {
    await using stage = await Stage.on(there());
    const { alice, bob, ours: first, sdk } = await ourselvesAndSdk(stage);
    const lives = [first];
    const identity = first.client.identity;
    const now = (): Watched => lives.at(-1) as Watched;
    const restart = async (): Promise<void> => {
      await now().client.close();
      lives.push(await stage.ours(alice));
      expect(now().client.identity).toEqual(identity);
      await sdk.restart();
    };
    const keys = await sdk.crypto.getOwnDeviceKeys();
    await restart();
    const roomId = await now().client.createRoom({ encrypted: true, invite: [bob.credentials.userId] });
    await restart();
    await sdk.client.joinRoom(roomId);
    await restart();
    await now().say(roomId, "1 of ours");
    await restart();
    await sdk.reads("1 of ours");
    await sdk.say(roomId, "1 of the SDK", [alice.credentials]);
    await restart();
    await expect.poll(() => read(lives)).toContain("1 of the SDK");
    await now().say(roomId, "2 of ours");
    await restart();
    await sdk.say(roomId, "2 of the SDK", [alice.credentials]);
    await now().until(() => read(lives).includes("2 of the SDK"));
    await sdk.reads("2 of ours");
    expect(read(lives)).toEqual(["1 of the SDK", "2 of the SDK"]);
    expect(sdk.bodies).toEqual(["1 of ours", "2 of ours"]);
    expect(await sdk.crypto.getOwnDeviceKeys()).toEqual(keys);
    expect(lives.flatMap(({ undecryptable, errors }) => [...undecryptable, ...errors])).toEqual([]);
    expectNoKeyTwice(stage);
  });

  it("is read by who was offline for more rotations than one sync brings keys", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const reader = await stage.ours(alice);
    const sender = await stage.party(bob);
    const roomId = await stage.room([bob, alice], { settings: { rotation_period_msgs: 1 } });
    await sender.sendText(roomId, "before");
    await reader.until(() => reader.bodies.includes("before"));
    await reader.client.close();
    const bodies = Array.from({ length: 110 }, (_, n) => `rotation ${n}`);
    for (const body of bodies) await sender.sendText(roomId, body);

    const again = await stage.ours(alice);
    await again.until(() => again.bodies.length === bodies.length);
    expect(again.bodies.toSorted()).toEqual(bodies.toSorted());
    const sessions = new Set(again.messages.map(({ raw }) => raw.content.session_id));
    expect(sessions.size).toBe(bodies.length);
  });

  it("reaches 50 devices in a room, and is answered by the last of them", async () => {
    await using stage = await Stage.on(there());
    const alice = await stage.device("alice");
    const ours = await stage.ours(alice);
    const devices: HomeserverClient[] = [];
    for (let user = 0; user < 10; user += 1) {
      const other = await stage.user(`user${user}`);
      for (let n = 0; n < 5; n += 1) devices.push(await stage.logIn(other));
    }
    const parties = [];
    for (const device of devices) parties.push(await stage.party(device));
    const roomId = await stage.room([alice, ...devices.filter((_, n) => n % 5 === 0)]);
    await ours.say(roomId, "to all of you");
    const bodies = [];
    for (const party of parties) {
      const { received } = await party.sync();
      bodies.push(...received.flatMap((event) => (event.kind === "decrypted" ? [event.content.body] : [])));
    }
    expect(bodies).toEqual(Array.from({ length: 50 }, () => "to all of you"));
    await parties.at(-1)?.sendText(roomId, "heard");
    await ours.until(() => ours.bodies.includes("heard"));
    expectNoKeyTwice(stage);
  });

  it("delivers a message whose key comes late when the key comes, also to the next process", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const ours = await stage.ours(alice);
    // Another server of the federation is slow: the key is on its way while the message has arrived.
    const late: (() => Promise<unknown>)[] = [];
    const sdk = await stage.sdk(bob, {
      fetchFn: async (input, init) => {
        if (!String(input).includes("/sendToDevice/m.room.encrypted/")) return fetch(input, init);
        late.push(() => fetch(input, { ...init, signal: null }));
        return Response.json({});
      },
    });
    const roomId = await stage.room([bob, alice]);
    const eventId = await sdk.say(roomId, "patience", [alice.credentials]);
    await ours.until(() => ours.undecryptable.length === 1);
    expect(ours.undecryptable[0]).toMatchObject({ eventId, code: "MissingRoomKey", held: true });
    await ours.client.close();

    const again = await stage.ours(alice);
    for (const deliver of late) await deliver();
    await again.until(() => again.messages.length === 1);
    expect(again.messages[0]).toMatchObject({ eventId, late: true, encrypted: true, content: { body: "patience" } });
    expect([ours.messages, again.undecryptable]).toEqual([[], []]);
  });
}
