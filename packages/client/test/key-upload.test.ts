import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkIdentity } from "../src/crypto/identity-guard.ts";
import type { HomeserverApi, JsonObject } from "../src/http/homeserver-api.ts";
import { fault, refuse } from "./support/dev-rooms.ts";
import { register, SendingClient } from "./support/sending-client.ts";
import { fallbackPublished, World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

const isUpload = (route: string): boolean => route === "/_matrix/client/v3/keys/upload";

/** The bodies of all uploads of keys that reach the homeserver, whose answers `lose` says to lose. */
function uploads(lose: (count: number) => boolean = () => false): Record<string, unknown>[] {
  const bodies: Record<string, unknown>[] = [];
  world.use(async (call, next) => {
    if (!isUpload(call.route)) return next();
    bodies.push(call.body);
    const lost = lose(bodies.length);
    const reply = await next();
    return lost ? "hang up" : reply;
  });
  return bodies;
}

/** Whether a call asks for this device's keys and nothing else, as the client does to compare them. */
const asksFor = (body: Record<string, unknown>, userId: string, deviceId: string): boolean =>
  JSON.stringify(body.device_keys) === JSON.stringify({ [userId]: [deviceId] });

const keyNames = (body: Record<string, unknown> | undefined): string[] =>
  Object.keys((body?.one_time_keys as object) ?? {});

describe("an upload of keys", () => {
  it("whose answer was lost is settled without offering its one-time keys again, one of which was claimed meanwhile", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const bodies = uploads((count) => count === 1);
    const claimed = Promise.withResolvers<string>();
    world.use(async (call, next) => {
      // Before the second upload arrives, somebody has claimed a key of the first.
      if (isUpload(call.route) && bodies.length === 1) {
        const { userId, deviceId } = alice.credentials;
        const answer = await bob.call("POST", "/keys/claim", {
          one_time_keys: { [userId]: { [deviceId]: "signed_curve25519" } },
        });
        const keys = answer.one_time_keys as Record<string, Record<string, object>>;
        claimed.resolve(Object.keys(keys[userId]?.[deviceId] ?? {})[0] ?? "none");
      }
      return next();
    });
    const sender = await world.connected(alice);
    const name = await claimed.promise;
    await expect.poll(() => bodies.length).toBeGreaterThanOrEqual(2);
    expect(keyNames(bodies[0])).toContain(name);
    expect(bodies[1]?.one_time_keys).toBeUndefined();
    for (const later of bodies.slice(1)) expect(keyNames(later)).not.toContain(name);
    expect(sender.client.mode).toBe("development");
  });

  it("whose outcome is open when the process ends is settled by the next one", async () => {
    const alice = await world.user("alice");
    const bodies = uploads();
    const reached = Promise.withResolvers<void>();
    const stop = world.use(async (call, next) => {
      if (!isUpload(call.route)) return next();
      await next();
      reached.resolve();
      // The answer never comes: the process ends while it waits.
      return new Promise(() => {});
    });
    const first = world.client(alice);
    await first.client.connect();
    await reached.promise;
    await first.client.close();
    stop();

    await world.connected(alice);
    await expect.poll(() => bodies.length).toBeGreaterThanOrEqual(2);
    expect(keyNames(bodies[0]).length).toBeGreaterThan(0);
    expect(bodies[1]?.one_time_keys).toBeUndefined();
  });

  it("whose outcome is open stays open while the one that settles it is refused", async () => {
    const alice = await world.user("alice");
    const bodies = uploads((count) => count === 1);
    // Outside of those that are counted: the answer to the first is lost, the second is refused.
    world.use(async (call, next) => {
      if (!isUpload(call.route) || bodies.length !== 1 || refused) return next();
      refused = true;
      return { status: 403, body: { errcode: "M_FORBIDDEN", error: "not now" } };
    });
    let refused = false;
    const client = await world.connected(alice);
    await expect.poll(() => bodies.length).toBeGreaterThanOrEqual(2);
    expect(refused).toBe(true);
    expect(bodies[1]?.one_time_keys).toBeUndefined();
    const [first, ...later] = bodies.map(keyNames);
    expect(first?.length).toBeGreaterThan(0);
    for (const names of later) expect(names.filter((name) => first?.includes(name))).toEqual([]);
    expect(client.client.mode).toBe("development");
  });

  it("that was refused is offered again as it was", async () => {
    const alice = await world.user("alice");
    let refused = 0;
    world.use(async (call, next) => {
      if (!isUpload(call.route) || refused > 0) return next();
      refused += 1;
      return { status: 429, body: { errcode: "M_LIMIT_EXCEEDED", error: "slow down", retry_after_ms: 10 } };
    });
    const bodies = uploads();
    const client = await world.connected(alice);
    await expect.poll(() => bodies.length).toBeGreaterThanOrEqual(2);
    expect(keyNames(bodies[1])).toEqual(keyNames(bodies[0]));
    expect(client.client.mode).toBe("development");
  });

  it("that finds another key under one of its names says that the store is older than what was uploaded", async () => {
    const alice = await world.user("alice");
    world.use(async (call, next) => {
      if (!isUpload(call.route)) return next();
      const error = "One time key signed_curve25519:AAAAAAAAAA0 already exists. Old key: {}; new key: {}";
      return { status: 400, body: { errcode: "M_UNKNOWN", error } };
    });
    const client = await world.connected(alice);
    await client.until(() => client.modes.some(({ mode }) => mode === "off"));
    expect(client.modes.at(-1)?.error).toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    expect(client.client.mode).toBe("off");
  });
});

describe("the identity of a device", () => {
  it("that the homeserver has forgotten is published again, signed, with new one-time keys", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const { userId } = alice.credentials;
    const deviceId = "BOTDEVICE";
    const options = { accessToken: undefined, password: "password of alice", userId, deviceId };
    const shown = async () => {
      const answer = await bob.call("POST", "/keys/query", { device_keys: { [userId]: [deviceId] } });
      return (answer.device_keys as Record<string, Record<string, { keys: Record<string, string> }>>)[userId]?.[
        deviceId
      ];
    };
    const sender = await world.connected(bob);
    const first = await world.connected(alice, options as never);
    await expect.poll(shown).toBeDefined();
    const { identity } = first.client;
    await first.client.close();
    // Whoever finds it shown at the start writes that down.
    const second = await world.connected(alice, options as never);
    await second.client.api.request("POST", "/v3/logout", { body: {} });
    await second.client.close();
    expect(await shown()).toBeUndefined();

    world.homeserver.journal.clear();
    const again = await world.connected(alice, options as never);
    expect(again.client).toMatchObject({ mode: "development", identity });
    expect((await shown())?.keys).toEqual({
      [`curve25519:${deviceId}`]: identity?.curve25519,
      [`ed25519:${deviceId}`]: identity?.ed25519,
    });
    const roomId = await world.room([bob, alice]);
    await sender.say(roomId, "after the logout");
    await again.until(() => again.messages.length === 1);
    expect(again.messages[0]).toMatchObject({ encrypted: true, content: { body: "after the logout" } });
  });

  it("that the homeserver has forgotten is not lost where it only asks to wait before it takes the keys again", async () => {
    const client = await SendingClient.open(await register(world.homeserver.url, "alice"));
    const forgotten = { status: 200, body: { device_keys: {}, failures: {} } };
    fault(world.homeserver, { route: "/keys/query" }, 1, async () => forgotten);
    const limited = fault(world.homeserver, { route: "/keys/upload" }, 1, refuse(429, "M_LIMIT_EXCEEDED"));
    await expect(client.encryption?.checkIdentity()).rejects.toMatchObject({ name: "HomeserverError", status: 429 });
    expect(limited.count()).toBe(1);
    await client.close();
  });

  it("that the homeserver knows with other keys is never replaced: encryption is off, the rest works", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const first = await world.connected(alice);
    const plain = await world.room([alice, bob], false);
    const encrypted = await world.room([alice, bob]);
    const { identity } = first.client;
    await fallbackPublished(world.homeserver.journal, first.client);
    await first.client.close();

    const bodies = uploads();
    const other = await world.connected(alice, { keyStores: undefined });
    expect(other.client.mode).toBe("off");
    expect(other.modes.at(-1)?.error).toMatchObject({ code: "IDENTITY_CONFLICT" });
    expect(other.modes.at(-1)?.reason).toMatch(/restore the key store that holds them, or log in as a new device/);
    await expect(other.say(encrypted, "secret")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    expect(await other.say(plain, "plain")).toMatch(/^\$/);
    expect(bodies).toEqual([]);
    const reader = await world.connected(bob);
    expect(reader.messages).toEqual([]);
    const { userId, deviceId } = alice.credentials;
    const shown = await bob.call("POST", "/keys/query", { device_keys: { [userId]: [deviceId] } });
    expect(JSON.stringify(shown)).toContain(String(identity?.ed25519));
  });

  it("that could not be read back after its upload is read back after the next one", async () => {
    const alice = await world.user("alice");
    const { userId, deviceId } = alice.credentials;
    const bodies = uploads();
    const answers: string[] = [];
    world.use(async (call, next) => {
      const own = call.route === "/_matrix/client/v3/keys/query" && asksFor(call.body, userId, deviceId);
      if (!own || bodies.length === 0) return next();
      answers.push(bodies.length === 1 ? "refused" : "given");
      if (bodies.length === 1) return { status: 403, body: { errcode: "M_FORBIDDEN", error: "not now" } };
      return next();
    });
    await world.connected(alice);
    await expect.poll(() => answers).toContain("refused");
    // Half of the one-time keys are claimed: the engine uploads others.
    for (let n = 0; n < 30; n += 1) {
      await alice.call("POST", "/keys/claim", { one_time_keys: { [userId]: { [deviceId]: "signed_curve25519" } } });
    }
    await expect.poll(() => answers).toContain("given");
    expect(bodies[1]?.device_keys).toBeUndefined();
  });

  it("that could not be asked for once, after somebody changed it, is asked for again", async () => {
    const alice = await world.user("alice");
    const { userId, deviceId } = alice.credentials;
    await world.room([alice]);
    let [given, changed, refused] = [0, false, 0];
    world.use(async (call, next) => {
      if (call.route !== "/_matrix/client/v3/keys/query" || !asksFor(call.body, userId, deviceId)) return next();
      given += 1;
      if (!changed || refused > 0) return next();
      refused += 1;
      return { status: 403, body: { errcode: "M_FORBIDDEN", error: "not now" } };
    });
    const client = await world.connected(alice);
    // At the start, when the keys are read back, and when a sync says that they were uploaded.
    await expect.poll(() => given).toBe(3);
    const keys = { [`curve25519:${deviceId}`]: "A".repeat(43), [`ed25519:${deviceId}`]: "B".repeat(43) };
    changed = true;
    await alice.call("POST", "/keys/upload", {
      device_keys: { user_id: userId, device_id: deviceId, algorithms: [], keys, signatures: {} },
    });
    await client.until(() => client.client.mode === "off");
    expect(refused).toBe(1);
    expect(client.modes.at(-1)?.error).toMatchObject({ code: "IDENTITY_CONFLICT" });
  });

  it("is asked for again, after somebody changed it, no sooner than the homeserver asks for", async () => {
    const alice = await world.user("alice");
    const { userId, deviceId } = alice.credentials;
    let given = 0;
    const limited = { status: 429, body: { errcode: "M_LIMIT_EXCEEDED", error: "later", retry_after_ms: 120_000 } };
    world.use(async (call, next) => {
      if (call.route !== "/_matrix/client/v3/keys/query" || !asksFor(call.body, userId, deviceId)) return next();
      given += 1;
      return given <= 2 ? next() : limited;
    });
    const client = await world.connected(alice);
    const told = () => client.log.filter((line) => /has not said which keys it shows for this device/.test(line));
    await expect.poll(told).toHaveLength(1);
    expect(told()[0]).toMatch(/it is asked again in 120000 ms/);
  });

  it("is not taken for unknown where the homeserver could not look it up", async () => {
    const device = { userId: "@a:localhost", deviceId: "D", identity: { curve25519: "a", ed25519: "b" } };
    const answering = (answer: JsonObject) => ({ request: async () => answer }) as unknown as HomeserverApi;
    const failed = answering({ device_keys: {}, failures: { localhost: {} } });
    await expect(checkIdentity(failed, device)).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    expect(await checkIdentity(answering({ device_keys: {}, failures: {} }), device)).toBe("unknown");
  });

  it("that another process puts in place of ours while we run ends our encryption", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const client = await world.connected(alice);
    await world.room([alice, bob]);
    const { userId, deviceId } = alice.credentials;
    const keys = { [`curve25519:${deviceId}`]: "A".repeat(43), [`ed25519:${deviceId}`]: "B".repeat(43) };
    const algorithms = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"];
    await alice.call("POST", "/keys/upload", {
      device_keys: { user_id: userId, device_id: deviceId, algorithms, keys, signatures: {} },
    });
    await client.until(() => client.client.mode === "off");
    expect(client.modes.at(-1)?.error).toMatchObject({ code: "IDENTITY_CONFLICT" });
  });
});
