import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { delay, error } from "@holdfast/dev-homeserver/faults";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { UploadPace } from "../src/trust/backup/backup-upload.ts";
import { type BackupState, KeyBackup } from "../src/trust/backup/key-backup.ts";
import { CrossSigning } from "../src/trust/cross-signing/cross-signing.ts";
import type { ImportProgress } from "../src/trust/room-keys/import-progress.ts";
import { newRecoveryKey, SecretStorage } from "../src/trust/secrets/secret-storage.ts";
import { Device, newUser } from "./trust/device.ts";
import { cutOnce } from "./trust/faults.ts";
import { exportedKeys, type KeyName, makeRoomKeys } from "./trust/room-keys.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

const ONE_KEY = "/room_keys/keys/{roomId}/{sessionId}";

const secretStorageOf = (device: Device) => new SecretStorage({ api: device.api, userId: device.user.userId });

/** A device's backup, and what it said of its state. It uploads when it is told to, not in the background. */
function backupOf(device: Device, pace: UploadPace = {}) {
  const states: BackupState[] = [];
  const log: string[] = [];
  const line = (message: string): void => void log.push(message);
  const backup = new KeyBackup({
    api: device.api,
    encryption: device.encryption,
    secretStorage: secretStorageOf(device),
    pace: { startMs: 1_000_000, betweenMs: 0, ...pace },
    logger: { debug: line, info: line, warn: line, error: line },
    onState: (state) => void states.push(state),
  });
  onTestFinished(() => backup.close());
  return { backup, states, log };
}

/** The room keys that the homeserver holds, in a fixed order. */
async function backedUp(device: Device, version: string): Promise<KeyName[]> {
  const answer = await device.api.request("GET", "/v3/room_keys/keys", { query: { version } });
  const rooms = answer.rooms as Record<string, { sessions: object }>;
  return Object.entries(rooms)
    .flatMap(([roomId, { sessions }]) => Object.keys(sessions).map((sessionId) => ({ roomId, sessionId })))
    .sort((a, b) => a.sessionId.localeCompare(b.sessionId));
}

describe("a backup of room keys", () => {
  it("takes all room keys, and gives them to another device by its recovery key", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const keys = await makeRoomKeys(first, 230);
    const { backup, states } = backupOf(first);
    const { version, recoveryKey } = await backup.create();
    expect(states).toEqual([{ state: "on", version }]);
    await backup.upload();
    expect(await backedUp(first, version)).toEqual(keys);

    const seen: ImportProgress[] = [];
    const other = backupOf(second);
    const before = second.encryption.deviceStore.revision;
    const result = await other.backup.restore({
      secret: { recoveryKey },
      onProgress: (progress) => void seen.push(progress),
    });
    expect(result).toEqual({ done: 230, total: 230, imported: 230, failed: 0 });
    expect(seen.map(({ done }) => done)).toEqual([200, 230]);
    expect(second.encryption.deviceStore.revision - before).toBeLessThanOrEqual(4n);
    expect(await exportedKeys(second)).toEqual(keys);
    expect(other.states).toEqual([{ state: "on", version }]);
    expect(await other.backup.restore()).toEqual({ done: 230, total: 230, imported: 0, failed: 0 });
  });

  it("is taken up again after a restart, with what came meanwhile", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    const { version } = await backupOf(device).backup.create();
    await device.restart();
    const keys = await makeRoomKeys(device, 2);
    const { backup } = backupOf(device);
    expect(await backup.enable()).toEqual({ state: "on", version });
    await backup.upload();
    expect(await backedUp(device, version)).toEqual(keys);
  });

  it("takes new room keys in the background", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    const stored = Promise.withResolvers<void>();
    const stop = homeserver.use(async (call, next) => {
      const outcome = await next();
      if (call.method === "PUT" && call.route.endsWith("/room_keys/keys")) stored.resolve();
      return outcome;
    });
    const { backup } = backupOf(device, { startMs: 1 });
    const { version } = await backup.create();
    const keys = await makeRoomKeys(device, 1);
    onTestFinished(stop);
    await stored.promise;
    expect(await backedUp(device, version)).toEqual(keys);
  });

  it("gives one room key, and says where it has none", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const [key, other] = await makeRoomKeys(first, 2);
    const { recoveryKey } = await backupOf(first).backup.create();
    const { backup } = backupOf(second);
    expect(await backup.fetchKey(key?.roomId ?? "", key?.sessionId ?? "")).toBe(false);
    await backup.restore({ secret: { recoveryKey } });
    expect(await exportedKeys(second)).toEqual([]);
    await backupOf(first).backup.upload();
    expect(await backup.fetchKey(key?.roomId ?? "", key?.sessionId ?? "")).toBe(true);
    const asked = homeserver.faults.always({ path: ONE_KEY }, delay(0));
    expect(await backup.fetchKey(key?.roomId ?? "", "nothing")).toBe(false);
    expect(await backup.fetchKey(key?.roomId ?? "", "nothing")).toBe(false);
    expect(asked.count).toBe(1);
    asked.remove();
    expect(await exportedKeys(second)).toEqual([key]);
    {
      using _ = cutOnce(homeserver, ONE_KEY, "before");
      const failed = backup.fetchKey(other?.roomId ?? "", other?.sessionId ?? "");
      await expect(failed).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
  });

  it("gives the room keys of chosen rooms", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const keys = await makeRoomKeys(first, 3);
    const { backup } = backupOf(first);
    const { recoveryKey } = await backup.create();
    await backup.upload();
    const rooms = [keys[0]?.roomId ?? "", "!none:example.org"];
    expect(await backupOf(second).backup.restore({ secret: { recoveryKey }, rooms })).toMatchObject({ imported: 1 });
    expect(await exportedKeys(second)).toEqual([keys[0]]);
  });

  it("leaves out what it cannot read, and counts it", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const keys = await makeRoomKeys(first, 3);
    const { backup } = backupOf(first);
    const { version, recoveryKey } = await backup.create();
    await backup.upload();
    const stop = homeserver.use(async (call, next) => {
      const outcome = await next();
      if (outcome === "hang up" || call.method !== "GET" || !call.route.endsWith("/room_keys/keys")) return outcome;
      const body = structuredClone(outcome.body) as { rooms: Record<string, { sessions: Record<string, object> }> };
      const [roomId = ""] = Object.keys(body.rooms);
      const [session] = Object.values(body.rooms[roomId]?.sessions ?? {});
      body.rooms["!strange:example.org"] = { sessions: { a: {}, b: { session_data: { ciphertext: 7 } } } };
      body.rooms["not a room"] = { sessions: { c: session ?? {} } };
      return { ...outcome, body };
    });
    onTestFinished(stop);
    const result = await backupOf(second).backup.restore({ secret: { recoveryKey } });
    expect(result).toEqual({ done: 6, total: 6, imported: 3, failed: 3 });
    expect(await exportedKeys(second)).toEqual(keys);
    expect(version).toBe("1");
  });
});

describe("making a backup", () => {
  it("puts its key into secret storage, whose recovery key or passphrase then restores it", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await using third = await Device.of(user);
    const keys = await makeRoomKeys(first, 1);
    const storage = await secretStorageOf(first).create({ passphrase: "correct horse" });
    const { backup } = backupOf(first);
    await backup.create({ storage });
    await backup.upload();
    await backupOf(second).backup.restore({ secret: { passphrase: "correct horse" } });
    await backupOf(third).backup.restore({ secret: { recoveryKey: storage.recoveryKey } });
    expect(await exportedKeys(second)).toEqual(keys);
    expect(await exportedKeys(third)).toEqual(keys);
  });

  it.each(["before", "after"] as const)("finishes what was cut %s the homeserver made it", async (when) => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    const keys = await makeRoomKeys(device, 1);
    {
      using _ = cutOnce(homeserver, "/room_keys/version", when, "POST");
      await expect(backupOf(device).backup.create()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    await device.restart();
    const { backup } = backupOf(device);
    const { version } = await backup.create();
    expect(version).toBe("1");
    await backup.upload();
    expect(await backedUp(device, "1")).toEqual(keys);
    expect(await backup.create()).toMatchObject({ version: "1" });
  });

  it("does not take the place of a backup that this device has no key of, unless that is said", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await backupOf(first).backup.create();
    await expect(backupOf(second).backup.create()).rejects.toMatchObject({ code: "ALREADY_SET_UP" });
    expect(await backupOf(second).backup.create({ replace: true })).toMatchObject({ version: "2" });
  });
});

describe("a backup that is not to be trusted", () => {
  it("gets no room keys", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await backupOf(first).backup.create();
    const { backup, states } = backupOf(second);
    await makeRoomKeys(second, 1);
    expect(await backup.enable()).toEqual({ state: "off", reason: "untrusted" });
    await backup.upload();
    expect(await backedUp(second, "1")).toEqual([]);
    expect(states).toEqual([{ state: "off", reason: "untrusted" }]);
  });

  it("because its key was put in place of another under the same signatures gets none either", async () => {
    const user = await newUser(homeserver, "alice");
    await using device = await Device.of(user);
    const { backup } = backupOf(device);
    await backup.create();
    const { auth_data } = await device.api.request("GET", "/v3/room_keys/version");
    const forged = { ...(auth_data as object), public_key: Buffer.alloc(32, 9).toString("base64").replace("=", "") };
    const algorithm = "m.megolm_backup.v1.curve25519-aes-sha2";
    await device.api.request("POST", "/v3/room_keys/version", { body: { algorithm, auth_data: forged } });
    expect(await backup.enable()).toEqual({ state: "off", reason: "untrusted" });
    await makeRoomKeys(device, 1);
    await backup.upload();
    expect(await backedUp(device, "2")).toEqual([]);
  });

  it("becomes trusted by the identity that has signed it, once its private keys are here", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const storage = await secretStorageOf(first).create();
    await new CrossSigning(first).bootstrap({ storage });
    await backupOf(first).backup.create();
    const { backup } = backupOf(second);
    expect(await backup.enable()).toEqual({ state: "off", reason: "untrusted" });
    const opened = await secretStorageOf(second).open({ recoveryKey: storage.recoveryKey });
    expect(await new CrossSigning(second).bootstrap({ storage: opened })).toBe("imported");
    expect(await backup.enable()).toEqual({ state: "on", version: "1" });
    const keys = await makeRoomKeys(second, 1);
    await backup.upload();
    expect(await backedUp(second, "1")).toEqual(keys);
  });

  it("is not opened by another recovery key, and nothing is kept of it", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const { backup } = backupOf(second);
    await expect(backup.restore({ secret: { recoveryKey: newRecoveryKey() } })).rejects.toMatchObject({
      code: "NOT_SET_UP",
    });
    const storage = await secretStorageOf(first).create();
    await backupOf(first).backup.create();
    await expect(backup.restore()).rejects.toMatchObject({ code: "NOT_SET_UP" });
    await expect(backup.restore({ secret: { recoveryKey: newRecoveryKey() } })).rejects.toMatchObject({
      code: "WRONG_SECRET",
    });
    await expect(backup.restore({ secret: { storage } })).rejects.toMatchObject({ code: "NOT_SET_UP" });
    await storage.set("m.megolm_backup.v1", Buffer.alloc(32, 9).toString("base64"));
    await expect(backup.restore({ secret: { storage } })).rejects.toMatchObject({ code: "WRONG_SECRET" });
    expect(await backup.enable()).toEqual({ state: "off", reason: "untrusted" });
  });
});

/** Two devices that are signed by their account, the first of which has made a backup. */
async function signed(pace: UploadPace) {
  const user = await newUser(homeserver, "alice");
  const [first, second] = [await Device.of(user), await Device.of(user)];
  const storage = await secretStorageOf(first).create();
  await new CrossSigning(first).bootstrap({ storage });
  const opened = await secretStorageOf(second).open({ recoveryKey: storage.recoveryKey });
  await new CrossSigning(second).bootstrap({ storage: opened });
  onTestFinished(async () => {
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  });
  // What this device knows of the other one.
  await new CrossSigning(first).status();
  const made = backupOf(first, pace);
  await made.backup.create();
  return { first, second, ...made };
}

describe("a backup that another has taken the place of", () => {
  it("is turned off by the first upload that is refused, and says so, as it does once of what took its place", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const { backup, states, log } = backupOf(first, { lookAgainMs: 1 });
    await backup.create();
    const keys = await makeRoomKeys(first, 1);
    await backupOf(second).backup.create({ replace: true });
    await expect(backup.upload()).rejects.toMatchObject({ errcode: "M_WRONG_ROOM_KEYS_VERSION" });
    await backup.upload();
    expect(await backedUp(first, "1")).toEqual([]);
    const looks = homeserver.faults.always({ method: "GET", path: "/room_keys/version" }, delay(0));
    onTestFinished(() => looks.remove());
    await expect.poll(() => looks.count).toBeGreaterThanOrEqual(3);
    expect(states).toEqual([
      { state: "on", version: "1" },
      { state: "off", reason: "superseded" },
      { state: "off", reason: "untrusted" },
    ]);
    expect(log.filter((line) => line.includes("signed by nobody"))).toHaveLength(1);
    const { version } = await backup.create({ replace: true });
    await backup.upload();
    expect(await backedUp(first, version)).toEqual(keys);
  });

  it("gives way to it where this device trusts it, and all room keys go there", async () => {
    const { first, second, backup, states } = await signed({ startMs: 1 });
    await makeRoomKeys(first, 1);
    await backup.upload();
    const { version } = await backupOf(second).backup.create({ replace: true });
    const keys = await makeRoomKeys(first, 2);
    expect(keys).toHaveLength(2);
    await expect.poll(() => backedUp(first, version)).toEqual(keys);
    expect(states).toEqual([
      { state: "on", version: "1" },
      { state: "off", reason: "superseded" },
      { state: "on", version: "2" },
    ]);
  });

  it("is looked for again while there is none, and while the homeserver does not say", async () => {
    const { first, second, backup, states } = await signed({ startMs: 1, lookAgainMs: 1 });
    await backup.upload();
    await second.api.request("DELETE", "/v3/room_keys/version/1");
    const keys = await makeRoomKeys(first, 1);
    await expect.poll(() => states.at(-1)).toEqual({ state: "off", reason: "none" });
    const failing = homeserver.faults.next({ method: "GET", path: "/room_keys/version" }, error(500, "M_UNKNOWN"));
    await failing.fired();
    const { version } = await backupOf(second).backup.create();
    await expect.poll(() => backedUp(first, version)).toEqual(keys);
    expect(states.at(-1)).toEqual({ state: "on", version });
  });

  it("goes off where it is deleted", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    const { backup } = backupOf(device);
    await backup.create();
    await backup.deleteCurrent();
    expect(await backup.enable()).toEqual({ state: "off", reason: "none" });
    await backup.deleteCurrent();
    expect(await backup.create()).toMatchObject({ version: "2" });
  });

  it("stays as it was while the homeserver cannot say which is current", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    const { backup, states } = backupOf(device);
    const { version } = await backup.create();
    {
      using _ = cutOnce(homeserver, "/room_keys/version", "before", "GET");
      await expect(backup.enable()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    expect(states).toEqual([{ state: "on", version }]);
    const keys = await makeRoomKeys(device, 1);
    await backup.upload();
    expect(await backedUp(device, version)).toEqual(keys);
  });
});
