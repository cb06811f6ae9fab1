import { path } from "@holdfast/dev-homeserver/party";
import { expect, it } from "vitest";
import type { IncomingEvent } from "../../src/events.ts";
import { Stage } from "../support/stage.ts";
import type { There } from "./suite.ts";

export function roomSuite(there: There): void {
  it("who has left a room gets no keys of what is sent then, and reads again once they are back", async () => {
    await using stage = await Stage.on(there());
    const devices = [await stage.device("alice"), await stage.device("bob"), await stage.device("carol")] as const;
    const [alice, bob, carol] = devices;
    const [ours, sdk, party] = [await stage.ours(alice), await stage.sdk(bob), await stage.party(carol)];
    const roomId = await stage.room([alice, bob, carol]);
    await ours.say(roomId, "all of us");
    await sdk.reads("all of us");
    const seen = Promise.withResolvers<void>();
    ours.client.on("event", ({ type, stateKey, content }) => {
      if (type === "m.room.member" && stateKey === bob.credentials.userId && content.membership === "leave")
        seen.resolve();
    });
    await sdk.client.leave(roomId);
    const { journal } = stage.homeserver;
    const keysForBob = () => journal.toDevice().filter(({ recipient }) => recipient === bob.credentials.userId).length;
    const before = keysForBob();
    await seen.promise;
    await ours.say(roomId, "without bob");
    expect(keysForBob()).toBe(before);
    const { received } = await party.sync();
    expect(received.flatMap((event) => (event.kind === "decrypted" ? [event.content.body] : []))).toEqual([
      "all of us",
      "without bob",
    ]);

    await ours.client.invite(roomId, bob.credentials.userId);
    await sdk.client.joinRoom(roomId);
    await sdk.knows(roomId, [alice.credentials]);
    await ours.say(roomId, "all again");
    await sdk.reads("all again");
    expect(sdk.bodies).toEqual(["all of us", "all again"]);
  });

  it("a room that was left is silent, and refuses what is sent to it", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const [ours, sdk] = [await stage.ours(alice), await stage.sdk(bob)];
    const [left, other] = [await stage.room([bob, alice]), await stage.room([bob, alice])];
    await sdk.say(left, "before", [alice.credentials]);
    await ours.until(() => ours.bodies.includes("before"));
    await ours.client.leave(left);
    await sdk.until(() => sdk.client.getRoom(left)?.getMember(alice.credentials.userId)?.membership === "leave");
    await sdk.say(left, "behind the back");
    await sdk.say(other, "here", [alice.credentials]);
    await ours.until(() => ours.bodies.includes("here"));
    expect(ours.bodies).toEqual(["before", "here"]);
    await expect(ours.say(left, "let me in")).rejects.toMatchObject({ name: "MatrixClientError" });
    expect(stage.homeserver.journal.events(left).filter(({ sender }) => sender === alice.credentials.userId)).toEqual(
      [],
    );
  });

  it("a room that was knocked at is joined when matrix-js-sdk lets us in", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const [ours, sdk] = [await stage.ours(alice), await stage.sdk(bob)];
    const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
    const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
    const { room_id: roomId } = await sdk.client.createRoom({ initial_state: [rules, encryption] });
    const joined = Promise.withResolvers<void>();
    ours.client.on("invite", async (invitation) => {
      await ours.client.join(invitation.roomId);
      joined.resolve();
    });
    await ours.client.api.request("POST", path("v3", "knock", roomId), { body: {} });
    const membership = () => sdk.client.getRoom(roomId)?.getMember(alice.credentials.userId)?.membership;
    await sdk.until(() => membership() === "knock");
    await sdk.client.invite(roomId, alice.credentials.userId);
    await joined.promise;
    await sdk.say(roomId, "come in", [alice.credentials]);
    await ours.until(() => ours.bodies.includes("come in"));
    await ours.say(roomId, "here I am");
    await sdk.reads("here I am");
  });

  it("a room that matrix-js-sdk upgrades is followed, and is encrypted like the one before", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const [ours, sdk] = [await stage.ours(alice), await stage.sdk(bob)];
    const old = await stage.room([bob, alice]);
    await sdk.say(old, "in the old one", [alice.credentials]);
    await ours.until(() => ours.bodies.includes("in the old one"));
    const tombstone = Promise.withResolvers<IncomingEvent>();
    ours.client.on("event", (event) => {
      if (event.type === "m.room.tombstone") tombstone.resolve(event);
    });
    const { replacement_room: replacement } = await sdk.client.upgradeRoom(old, "11");
    expect((await tombstone.promise).content.replacement_room).toBe(replacement);
    await sdk.client.invite(replacement, alice.credentials.userId);
    await ours.client.join(replacement);
    await sdk.say(replacement, "in the new one", [alice.credentials]);
    await ours.until(() => ours.bodies.includes("in the new one"));
    await ours.say(replacement, "here too");
    await sdk.reads("here too");
    expect(ours.messages.map(({ encrypted }) => encrypted)).toEqual([true, true]);
    await expect(ours.say(old, "too late")).rejects.toMatchObject({ code: "REQUEST_REFUSED" });
  });
}
