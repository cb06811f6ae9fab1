import type { DevHomeserver } from "@holdfast/dev-homeserver";
import { describe, expect, it } from "vitest";
import type { RoomEvent } from "../src/sync/room-update.ts";
import { bodiesSeenBy, fault, MEGOLM, party } from "./support/dev-rooms.ts";
import type { SendingClient } from "./support/sending-client.ts";
import { type Stage, sendText, useStage } from "./support/stage.ts";

let stage: Stage;
let homeserver: DevHomeserver;

useStage((made) => {
  stage = made;
  homeserver = stage.homeserver;
});

/** Takes in what a sync tells of a room. */
async function told({ encryption, rooms }: SendingClient, roomId: string, event: Partial<RoomEvent>): Promise<void> {
  if (encryption === undefined) throw new Error("the store is away");
  const common = { event_id: "$told", sender: "@bot:localhost", origin_server_ts: 1 };
  const timeline = [{ ...common, ...event } as RoomEvent];
  const update = { roomId, membership: "join", state: [], timeline, limited: false, prevBatch: undefined } as const;
  await encryption.run(async () => encryption.commit(await rooms.takeIn(update, encryption)));
}

const member = (userId: string, membership: string) => ({
  type: "m.room.member",
  state_key: userId,
  content: { membership },
});

describe("what a sync tells while the devices of a room's members are asked for", () => {
  const requests = ["/keys/query", "/keys/claim", "/sendToDevice/{eventType}/{txnId}"];

  it.each(requests)("a member who has gone during %s does not get the key of the message", async (route) => {
    const { sender, alice, room } = await stage.talk();
    const bob = await party(homeserver, "bob");
    await sender.api.request("POST", `/v3/rooms/${encodeURIComponent(room)}/invite`, { body: { user_id: bob.userId } });
    await bob.join(room);
    fault(homeserver, { route, user: sender.login.userId }, 1, async (_, next) => {
      await told(sender, room, member(bob.userId, "leave"));
      return next();
    });
    await sendText(sender, room, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    // For the homeserver Bob is there, and gets the ciphertext.
    expect(await bodiesSeenBy(bob)).toEqual(["undecryptable"]);
  });

  it.each(requests)("a member who has come during %s gets it", async (route) => {
    const { sender, alice, room } = await stage.untold();
    const bob = await party(homeserver, "bob");
    fault(homeserver, { route, user: sender.login.userId }, 1, async (_, next) => {
      const body = { user_id: bob.userId };
      await sender.api.request("POST", `/v3/rooms/${encodeURIComponent(room)}/invite`, { body });
      await bob.join(room);
      await told(sender, room, member(bob.userId, "join"));
      return next();
    });
    await sendText(sender, room, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    expect(await bodiesSeenBy(bob)).toEqual(["hello"]);
  });

  it("that newcomers read only what comes after them, so that one who is invited does not get the key", async () => {
    const [sender, alice] = [await stage.bot(), await party(homeserver, "alice")];
    const room = await sender.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
    await sender.sync();
    fault(homeserver, { route: "/keys/query", user: sender.login.userId }, 1, async (_, next) => {
      const content = { history_visibility: "joined" };
      await told(sender, room, { type: "m.room.history_visibility", state_key: "", content });
      return next();
    });
    await sendText(sender, room, "hello");
    expect(homeserver.toDeviceWaiting(alice.userId, alice.client.credentials.deviceId)).toBe(0);
  });
});
