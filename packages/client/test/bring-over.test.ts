import type { KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bringOver } from "../src/availability/bring-over.ts";
import type { DeviceIdentity } from "../src/crypto/identity-guard.ts";
import { openEngine } from "../src/engine/open-olm-machine.ts";
import type { HomeserverApi, JsonObject } from "../src/http/homeserver-api.ts";

const device = { userId: "@bot:localhost", deviceId: "DEVICE" };
const atRest = { key: new Uint8Array(32).fill(7) };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let from: KeyStore;
let to: KeyStore;

/** A store in which the device has an identity of its own. */
async function withIdentity(): Promise<{ store: KeyStore; identity: DeviceIdentity }> {
  const store = new MemoryKeyStore({ storage: new MemoryStorage() });
  await store.init();
  const { engine } = await openEngine({ keyStore: store, ...device, ...atRest });
  const { curve25519, ed25519 } = engine.machine.identityKeys;
  const identity = { curve25519: curve25519.toBase64(), ed25519: ed25519.toBase64() };
  await engine.close();
  return { store, identity };
}

let identity: DeviceIdentity;

beforeEach(async () => {
  ({ store: from, identity } = await withIdentity());
  ({ store: to } = await withIdentity());
});

afterEach(() => Promise.all([from.close(), to.close()]));

function bring(answer: JsonObject): Promise<boolean> {
  const api = { request: async () => answer } as unknown as HomeserverApi;
  const signal = new AbortController().signal;
  return bringOver({ from, to, device, atRest, lease: {}, api, logger: silent, signal });
}

const shows = ({ curve25519, ed25519 }: DeviceIdentity): JsonObject => {
  const keys = { "curve25519:DEVICE": curve25519, "ed25519:DEVICE": ed25519 };
  return { device_keys: { [device.userId]: { [device.deviceId]: { keys } } } };
};

const names = async (store: KeyStore) => (await store.listDevices()).map(({ deviceId }) => deviceId);

describe("of two stores that hold one device with an identity each", () => {
  it("none is set aside where the homeserver shows no keys of it, or cannot look", async () => {
    await expect(bring({ device_keys: {} })).rejects.toMatchObject({ code: "ERR_KEY_STORE_CONFLICT" });
    const failed = { device_keys: {}, failures: { localhost: {} } };
    await expect(bring(failed)).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    expect([await names(from), await names(to)]).toEqual([["DEVICE"], ["DEVICE"]]);
  });

  it("the one that the homeserver shows goes on", async () => {
    expect(await bring(shows(identity))).toBe(true);
    const { engine } = await openEngine({ keyStore: to, ...device, ...atRest });
    expect(engine.machine.identityKeys.ed25519.toBase64()).toBe(identity.ed25519);
    await engine.close();
  });

  it("the one that is not shown is set aside", async () => {
    const other = { curve25519: "c", ed25519: "e" };
    expect(await bring(shows(other))).toBe(false);
    expect(await names(to)).toEqual(["DEVICE"]);
    expect(await names(from)).toEqual([expect.stringMatching(/^DEVICE archived /)]);
  });
});
