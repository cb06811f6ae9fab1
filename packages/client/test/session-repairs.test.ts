import { startDevHomeserver } from "@holdfast/dev-homeserver";
import { DeviceId, LocalTrust, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../src/http/homeserver-api.ts";
import { path } from "../src/http/path.ts";
import { CrossSigning } from "../src/trust/cross-signing/cross-signing.ts";
import { World } from "./support/world.ts";
import { Device, newUser } from "./trust/device.ts";

const HOUR_MS = 3_600_000;

afterEach(() => {
  vi.restoreAllMocks();
});

function letTimePass(ms: number): void {
  const now = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => now() + ms);
}

/** An Olm message that does not open any more. */
function broken(content: JsonObject): JsonObject {
  const [[key, part] = []] = Object.entries(content.ciphertext as Record<string, { body: string; type: number }>);
  if (key === undefined || part === undefined) throw new Error("there is no ciphertext");
  const other = part.body.startsWith("B", 60) ? "C" : "B";
  const body = `${part.body.slice(0, 60)}${other}${part.body.slice(61)}`;
  return { ...content, ciphertext: { [key]: { ...part, body } } };
}

it("a client that only reads is sent the keys again that it could not open", async () => {
  await using world = await World.start();
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const roomId = await world.room([alice, bob]);
  const [reader, sender] = [await world.connected(alice), await world.connected(bob)];
  await sender.say(roomId, "hello");
  await reader.until(() => reader.messages.length === 1);
  // Only what the other side has answered on is without the keys of a new session.
  await reader.say(roomId, "answer");
  await sender.until(() => sender.messages.length === 1);

  letTimePass(2 * HOUR_MS);
  const later = await world.room([bob, alice]);
  const { userId, deviceId } = alice.credentials;
  const off = world.use(async ({ device, route, body }, next) => {
    if (device?.userId !== bob.credentials.userId || !route.includes("/sendToDevice/")) return next();
    off();
    const messages = body.messages as Record<string, Record<string, JsonObject>>;
    const content = broken(messages[userId]?.[deviceId] ?? {});
    await bob.call("PUT", "/sendToDevice/m.room.encrypted/broken", { messages: { [userId]: { [deviceId]: content } } });
    return { status: 200, body: {} };
  });
  await sender.say(later, "lost");
  const toBob = () => world.homeserver.journal.toDevice().filter(({ sender: from }) => from === userId);
  await expect.poll(() => toBob().length).toBe(2);
  await expect.poll(() => reader.undecryptable.length).toBe(1);
  for (let tries = 1; reader.messages.length === 1; tries += 1) {
    await sender.say(later, `message ${tries}`);
    await reader.until(() => reader.messages.length + reader.undecryptable.length === 2 + tries);
  }
  expect(reader.bodies.at(-1)).toMatch(/^message/);
});

describe("a device that asks for a secret and has no one-time key left", () => {
  async function asking() {
    const homeserver = await startDevHomeserver();
    const user = await newUser(homeserver, "alice");
    const [first, second] = [await Device.of(user), await Device.of(user)];
    await new CrossSigning(first).bootstrap({ password: user.password });
    await first.sync();
    await first.encryption.run(async (machine) => {
      const device = await machine.getDevice(new UserId(user.userId), new DeviceId(second.deviceId));
      await device?.setLocalTrust(LocalTrust.Verified);
    });
    const content = {
      action: "request",
      name: "m.cross_signing.master",
      request_id: "request",
      requesting_device_id: second.deviceId,
    };
    await second.api.request("PUT", path`/v3/sendToDevice/m.secret.request/asked`, {
      body: { messages: { [user.userId]: { [first.deviceId]: content } } },
    });
    const close = async (): Promise<void> => {
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
      await homeserver.close();
    };
    return { homeserver, first, second, [Symbol.asyncDispose]: close };
  }

  it("is asked for one once a minute", async () => {
    await using world = await asking();
    const { homeserver, first } = world;
    const claims = () => homeserver.journal.entries({ path: "/keys/claim" }).length;
    homeserver.use(async ({ route }, next) => {
      const reply = await next();
      return route.endsWith("/keys/claim") ? { status: 200, body: { one_time_keys: {}, failures: {} } } : reply;
    });
    await first.sync();
    expect(claims()).toBe(1);
    await first.sync();
    expect(claims()).toBe(1);
    letTimePass(61_000);
    await first.sync();
    expect(claims()).toBe(2);
  });

  it("is told of its new session, although the process ended before", async () => {
    await using world = await asking();
    const { homeserver, first, second } = world;
    const messages = () =>
      homeserver.journal.toDevice().filter(({ recipientDevice }) => recipientDevice === second.deviceId);
    const off = homeserver.use(async ({ device, route }, next) =>
      device?.deviceId === first.deviceId && route.includes("/sendToDevice/") ? "hang up" : next(),
    );
    await expect(first.sync()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    expect(messages()).toEqual([]);
    off();
    await first.restart();
    expect(messages()).toHaveLength(1);
    const { toDevice } = await second.sync();
    expect(toDevice.map(({ type, encrypted }) => ({ type, encrypted }))).toContainEqual({
      type: "m.dummy",
      encrypted: true,
    });
    await first.encryption.flush();
    expect(messages()).toHaveLength(1);
  });
});
