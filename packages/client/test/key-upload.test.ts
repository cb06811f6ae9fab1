import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { World } from "./support/world.ts";

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
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
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
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
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
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
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
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
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
  it("that the homeserver knows with other keys is never replaced: encryption is off, the rest works", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const first = await world.connected(alice);
    const plain = await world.room([alice, bob], false);
    const encrypted = await world.room([alice, bob]);
    const { identity } = first.client;
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
