import { holdRequest, loseResponse } from "@holdfast/dev-homeserver/faults";
import { path } from "@holdfast/dev-homeserver/party";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { expect, it } from "vitest";
import { fallbackPublished } from "../../test/support/world.ts";
import { expectNoKeyTwice, uploadedKeys } from "../support/no-key-twice.ts";
import { Stage } from "../support/stage.ts";
import type { There } from "./suite.ts";

const UPLOAD = "/keys/upload";

export function keySuite(there: There): void {
  it("an upload whose answer is lost, one of whose keys matrix-js-sdk claims meanwhile, offers no key twice", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob, carol] = [await stage.device("alice"), await stage.device("bob"), await stage.device("carol")];
    const { faults, journal } = stage.homeserver;
    const { userId } = alice.credentials;
    const sdk = await stage.sdk(bob);
    const roomId = await stage.room([bob, alice, carol]);
    const lost = faults.next({ path: UPLOAD, userId }, loseResponse());
    const held = faults.next({ path: UPLOAD, userId, where: () => lost.count > 0 }, holdRequest());
    const ours = stage.client(stage.options(alice));
    const connecting = ours.client.connect();
    await lost.fired();
    await held.fired();
    await sdk.say(roomId, "to a key that nobody is sure of", [alice.credentials]);
    const [claimed] = journal.handedOutKeys().filter((key) => key.userId === userId);
    held.release();
    await connecting;
    await ours.until(() => ours.messages.length === 1);
    expect(ours.bodies).toEqual(["to a key that nobody is sure of"]);

    const names = await uploadedKeys(stage, userId, 2);
    expect(names).toContain(claimed?.keyId);
    expect(names).toEqual([...new Set(names)]);
    // And another device gets another key.
    const other = await stage.party(carol);
    await other.sync();
    await other.sendText(roomId, "to another key");
    await ours.until(() => ours.bodies.includes("to another key"));
    expectNoKeyTwice(stage);
    expect(ours.client.mode).toBe("development");
  });

  it("a device that the homeserver knows with other keys is left as it is: encryption is off, the rest works", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const first = await stage.ours(alice);
    const { identity } = first.client;
    const [plain, encrypted] = [await stage.room([alice, bob], { encrypted: false }), await stage.room([alice, bob])];
    const { journal } = stage.homeserver;
    await fallbackPublished(journal, first.client);
    await first.client.close();

    const uploads = { path: UPLOAD, userId: alice.credentials.userId };
    const before = journal.entries(uploads).length;
    // As with a disk that was lost.
    const other = await stage.ours(alice, { keyStores: undefined });
    expect(other.client.mode).toBe("off");
    expect(other.modes.at(-1)?.error).toMatchObject({ code: "IDENTITY_CONFLICT" });
    await expect(other.say(encrypted, "secret")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    expect(await other.say(plain, "plain")).toMatch(/^\$/);
    expect(journal.entries(uploads).length).toBe(before);
    expect(journal.events(encrypted)).toEqual([]);

    const sdk = await stage.sdk(bob);
    const { userId, deviceId } = alice.credentials;
    const shown = (await sdk.crypto.getUserDeviceInfo([userId], true)).get(userId)?.get(deviceId);
    expect(shown?.getFingerprint()).toBe(identity?.ed25519);
    // Whoever has the store goes on.
    await other.client.close();
    const again = await stage.ours(alice);
    expect(again.client.identity).toEqual(identity);
    await again.say(encrypted, "back");
    await sdk.reads("back");
  });

  it("what is sent to an encrypted room while encryption is unavailable does not reach the homeserver", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const [encrypted, plain] = [await stage.room([bob, alice]), await stage.room([bob, alice], { encrypted: false })];
    const url = "postgres://user:password@127.0.0.1:1/nothing-is-here";
    const away = { name: "PostgreSQL", create: async () => new PostgresKeyStore({ url, connectTimeoutMs: 500 }) };
    const { client } = await stage.ours(alice, { keyStores: [away], onUnavailable: "wait" });
    expect(client).toMatchObject({ mode: "waiting", keyStoreAvailable: false });
    const { journal } = stage.homeserver;
    const hello = { msgtype: "m.text", body: "hello" };
    const { event_id } = await bob.call("PUT", path("rooms", encrypted, "send", "m.room.message", "1"), hello);
    const root = String(event_id);

    const refused = { code: "ENCRYPTION_UNAVAILABLE" };
    const file = { bytes: Buffer.from("a secret"), name: "a secret" };
    const { messages } = client;
    const content = { msgtype: "m.text", body: "a secret" };
    await expect(client.sendText(encrypted, "a secret")).rejects.toMatchObject(refused);
    await expect(client.sendFile(encrypted, file)).rejects.toMatchObject(refused);
    await expect(client.react(encrypted, root, "a secret")).rejects.toMatchObject(refused);
    await expect(messages.edit(encrypted, root, content)).rejects.toMatchObject(refused);
    await expect(messages.sendInThread(encrypted, root, content)).rejects.toMatchObject(refused);
    await expect(client.send(encrypted, "org.example.own", content)).rejects.toMatchObject(refused);
    const { userId } = alice.credentials;
    expect(journal.events(encrypted).filter(({ sender }) => sender === userId)).toEqual([]);
    const reached = journal.entries({ userId }).map(({ call }) => `${call.path} ${Buffer.from(call.content.bytes)}`);
    expect(reached.filter((request) => /a(%20| )secret/.test(request))).toEqual([]);

    expect((await client.sendText(plain, "no secret")).eventId).toMatch(/^\$/);
    expect(journal.events(plain)).toMatchObject([{ type: "m.room.message", content: { body: "no secret" } }]);
  });
}
