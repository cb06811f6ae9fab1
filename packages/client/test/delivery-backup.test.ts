import { error, holdRequest } from "@holdfast/dev-homeserver/faults";
import { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newRecoveryKey } from "../src/trust/secrets/secret-storage.ts";
import { World } from "./support/world.ts";

const ONE_KEY = { method: "GET", path: "/room_keys/keys/{roomId}/{sessionId}" } as const;

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

/** A room, a client of its second user that reads the backup, and a message whose key it finds there alone. */
async function onlyInBackup() {
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const { userId } = bob.credentials;
  const [writer, first] = [await world.connected(alice), await world.connected(bob)];
  const recoveryKey = newRecoveryKey();
  await first.client.trust.setUp({ recoveryKey });
  const login = await HomeserverClient.login(world.homeserver.baseUrl, "bob", "password of bob");
  const reader = await world.connected(login);
  await reader.client.trust.setUp({ recoveryKey });
  const roomId = await world.room([alice, bob]);
  let withheldFromReader = true;
  world.use(async (call, next) => {
    const messages = call.body.messages as Record<string, Record<string, unknown>> | undefined;
    // Nor does the user's other client ever pass a key on.
    if (withheldFromReader || call.device?.userId === userId) delete messages?.[userId]?.[login.credentials.deviceId];
    return next();
  });
  /** Says it, and takes the key to the backup. */
  const write = async (body: string): Promise<void> => {
    await writer.say(roomId, body);
    await first.until(() => first.bodies.includes(body));
    await first.client.trust.backup.upload();
  };
  const sayPlainly = async (body: string): Promise<void> => {
    const endpoint = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`;
    await alice.call("PUT", endpoint, { msgtype: "m.text", body });
  };
  /** As `write`, before the reader hears of the message: it waits for the backup's answer alone. */
  const say = async (body: string): Promise<void> => {
    const release = await world.holdSyncs(login);
    await write(body);
    release();
  };
  /** A message of which the backup has the key, and the reader gets a copy that is for later messages alone. */
  const sayBeforeKey = async (body: string): Promise<void> => {
    const release = await world.holdSyncs(login);
    await write(body);
    withheldFromReader = false;
    // An Olm session of the reader's own: to the writer it looks as if the one that brought the key were broken.
    await reader.say(roomId, "from the reader");
    await writer.until(() => writer.messages.length === 1);
    await write("later");
    release();
  };
  return { login, reader, say, sayPlainly, sayBeforeKey };
}

describe("an event whose key is in the backup alone", () => {
  it("waits a moment for it, and is delivered as any other", async () => {
    const { reader, say } = await onlyInBackup();
    const held = world.homeserver.faults.always(ONE_KEY, holdRequest());
    await say("kept");
    await held.fired();
    held.remove();
    await reader.until(() => reader.messages.length === 1);
    expect(reader.messages.map(({ content, late }) => [content.body, late])).toEqual([["kept", false]]);
    expect(reader.undecryptable).toEqual([]);
  });

  it("does not hold its room up while the backup does not answer, and comes late", async () => {
    const { reader, say, sayPlainly } = await onlyInBackup();
    const held = world.homeserver.faults.always(ONE_KEY, holdRequest());
    await say("kept");
    await sayPlainly("next");
    await reader.until(() => reader.messages.length === 1);
    expect(reader.undecryptable.map(({ code, held }) => [code, held])).toEqual([["MissingRoomKey", true]]);
    expect(held.count).toBe(1);
    held.remove();
    await reader.until(() => reader.messages.length === 2);
    expect(reader.messages.map(({ content, late }) => [content.body, late])).toEqual([
      ["next", false],
      ["kept", true],
    ]);
  });

  it("is asked for again where the backup failed to answer", async () => {
    const { reader, say } = await onlyInBackup();
    const failed = world.homeserver.faults.next(ONE_KEY, error(500, "M_UNKNOWN"));
    await say("kept");
    await failed.fired();
    await reader.until(() => reader.messages.length === 1);
    expect(reader.messages.map(({ content, late }) => [content.body, late])).toEqual([["kept", false]]);
    expect(reader.undecryptable).toEqual([]);
  });

  it("is asked for no more when the client closes, and by the next process again", async () => {
    const { login, reader, say } = await onlyInBackup();
    const gone = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const stop = world.use(async (call, next) => {
      if (call.method !== "GET" || !call.route.endsWith(ONE_KEY.path)) return next();
      call.signal.addEventListener("abort", () => gone.resolve(), { once: true });
      asked.resolve();
      await gone.promise;
      return "hang up";
    });
    await say("kept");
    await asked.promise;
    await reader.client.close();
    await gone.promise;
    expect(reader.undecryptable).toEqual([]);
    stop();
    const again = await world.connected(login);
    await again.until(() => again.messages.length === 1);
    expect(again.messages.map(({ content, late }) => [content.body, late])).toEqual([["kept", false]]);
  });

  it("is asked for by the next process where it was not there before", async () => {
    const { login, reader, say } = await onlyInBackup();
    const missing = world.homeserver.faults.always(ONE_KEY, error(404, "M_NOT_FOUND"));
    await say("kept");
    await reader.until(() => reader.undecryptable.length === 1);
    await reader.client.close();
    missing.remove();
    const again = await world.connected(login);
    await again.until(() => again.messages.length === 1);
    expect(again.messages.map(({ content, late }) => [content.body, late])).toEqual([["kept", true]]);
    expect((await again.client.stats()).waiting?.held).toBe(0);
  });
});

describe("an event from before the copy of its key that this device has", () => {
  it("is read with the copy in the backup", async () => {
    const { reader, sayBeforeKey } = await onlyInBackup();
    await sayBeforeKey("kept");
    await reader.until(() => reader.messages.length === 2);
    expect(reader.messages.map(({ content, late }) => [content.body, late])).toEqual([
      ["kept", false],
      ["later", false],
    ]);
    expect(reader.undecryptable).toEqual([]);
  });

  it("is read with it by the next process where the backup did not have it before", async () => {
    const { login, reader, sayBeforeKey } = await onlyInBackup();
    const missing = world.homeserver.faults.always(ONE_KEY, error(404, "M_NOT_FOUND"));
    await sayBeforeKey("kept");
    await reader.until(() => reader.messages.length === 1);
    expect(reader.bodies).toEqual(["later"]);
    expect(reader.undecryptable.map(({ code, held }) => [code, held])).toEqual([["UnknownMessageIndex", true]]);
    await reader.client.close();
    missing.remove();
    const again = await world.connected(login);
    await again.until(() => again.messages.length === 1);
    expect(again.messages.map(({ content, late }) => [content.body, late])).toEqual([["kept", true]]);
  });
});
