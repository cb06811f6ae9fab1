import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { DeviceId, LocalTrust, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { sealRoomKeys } from "../src/trust/room-keys/room-key-transfer.ts";
import { Trust } from "../src/trust/trust.ts";
import { Device, newUser, type User } from "./trust/device.ts";
import { exportedKeys, fromIndexOne, makeRoomKeys } from "./trust/room-keys.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

/** A device and its trust, which uploads when it is told to. */
async function trusting(user: User): Promise<{ device: Device; trust: Trust }> {
  const device = await Device.of(user);
  const { api, encryption } = device;
  const trust = new Trust({ api, encryption, backupPace: { startMs: 1_000_000, betweenMs: 0 } });
  onTestFinished(async () => {
    await trust.close();
    await device[Symbol.asyncDispose]();
  });
  return { device, trust };
}

/** Runs something while the first request to a route is under way. */
function during(route: string, method: string, work: () => Promise<unknown>): void {
  const off = homeserver.use(async (call, next) => {
    if (!call.route.endsWith(route) || call.method !== method) return next();
    off();
    await work();
    return next();
  });
}

/** Every device trusts the others, as after they were verified. */
async function trustEachOther(all: readonly { device: Device; trust: Trust }[]): Promise<void> {
  for (const { device, trust } of all) {
    // Asks for this account's devices.
    await trust.crossSigning.status();
    await device.encryption.run(async (machine) => {
      for (const { deviceId } of all.map((other) => other.device)) {
        const other = await machine.getDevice(new UserId(device.user.userId), new DeviceId(deviceId));
        if (deviceId !== device.deviceId) await other?.setLocalTrust(LocalTrust.Verified);
      }
    });
  }
}

it("a room key that is imported in a better copy while another is uploaded goes to the backup as well", async () => {
  const user = await newUser(homeserver, "alice");
  const [from, to] = [await trusting(user), await trusting(user)];
  await makeRoomKeys(from.device, 1);
  const whole = await from.device.encryption.run((machine) => machine.exportRoomKeys(() => true));
  const [key] = JSON.parse(whole) as { room_id: string; session_id: string; session_key: string }[];
  if (key === undefined) throw new Error("there is no room key");
  const part = JSON.stringify([{ ...key, session_key: fromIndexOne(key.session_key) }]);
  const [wholeFile, partFile] = await Promise.all(
    [whole, part].map((keys) => sealRoomKeys(keys, "p", { rounds: 100_000 })),
  );
  const { version } = await to.trust.backup.create();
  expect(await to.trust.roomKeys.import(partFile ?? "", "p")).toMatchObject({ imported: 1 });
  during("/room_keys/keys", "PUT", async () => {
    expect(await to.trust.roomKeys.import(wholeFile ?? "", "p")).toMatchObject({ imported: 1 });
  });
  await to.trust.backup.upload();
  const answer = await to.device.api.request("GET", "/v3/room_keys/keys", { query: { version } });
  const rooms = answer.rooms as Record<string, { sessions: Record<string, { first_message_index: number }> }>;
  expect(rooms[key.room_id]?.sessions[key.session_id]?.first_message_index).toBe(0);
});

it("a room key that is fetched from an older backup goes to the current one", async () => {
  const user = await newUser(homeserver, "alice");
  const [first, second] = [await trusting(user), await trusting(user)];
  const storage = await first.trust.secretStorage.create();
  await first.trust.crossSigning.bootstrap({ storage, password: user.password });
  const opened = await second.trust.secretStorage.open({ recoveryKey: storage.recoveryKey });
  await second.trust.crossSigning.bootstrap({ storage: opened });
  const { recoveryKey } = await first.trust.backup.create();
  const [key] = await makeRoomKeys(first.device, 1);
  if (key === undefined) throw new Error("there is no room key");
  await first.trust.backup.upload();
  await second.trust.backup.restore({ secret: { recoveryKey }, rooms: [] });
  const { version } = await first.trust.backup.create({ replace: true });
  expect(await second.trust.backup.enable()).toEqual({ state: "on", version });
  expect(await second.trust.backup.fetchKey(key.roomId, key.sessionId)).toBe(true);
  expect(await exportedKeys(second.device)).toEqual([key]);
  await second.trust.backup.upload();
  const answer = await first.device.api.request("GET", "/v3/room_keys/keys", { query: { version } });
  expect(Object.keys(answer.rooms as object)).toEqual([key.roomId]);
});

it("the key of the backup that is sent while that of an older one is looked at is taken", async () => {
  const user = await newUser(homeserver, "alice");
  const [old, current, asking] = [await trusting(user), await trusting(user), await trusting(user)];
  await old.trust.backup.create();
  await current.trust.backup.create({ replace: true });
  await trustEachOther([old, current, asking]);
  await asking.device.encryption.run((machine) => machine.requestMissingSecretsIfNeeded());
  await asking.device.encryption.flush();
  await old.device.sync();
  await asking.device.sync();
  during("/room_keys/version", "GET", async () => {
    await current.device.sync();
    await asking.device.sync();
  });
  expect(await asking.trust.backup.takeSentKey()).toBe(true);
  expect(await asking.trust.backup.hasCurrentKey()).toBe(true);
});
