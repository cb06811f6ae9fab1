import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import type { KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { RequestType, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type OpenOlmMachineOptions, openOlmMachine } from "../src/index.ts";

const DEVICE = { userId: "@bot:example.org", deviceId: "BOT" };
const KEY = new Uint8Array(32).fill(7);
const WRONG = new Uint8Array(32).fill(8);

const folder = mkdtempSync(join(tmpdir(), "holdfast-open-"));
let postgres: DevPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});

afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** A place for key stores: each call of what it makes is another instance on the same storage. */
const places: Record<string, () => Promise<() => KeyStore>> = {
  memory: async () => {
    const storage = new MemoryStorage();
    return () => new MemoryKeyStore({ storage });
  },
  sqlite: async () => {
    const path = join(folder, `${Math.random()}.sqlite`);
    return () => new SqliteKeyStore({ path });
  },
  postgres: async () => {
    const url = await postgres.createDatabase();
    return () => new PostgresKeyStore({ url });
  },
};

async function ready(store: KeyStore): Promise<KeyStore> {
  expect(await store.init()).toBe(true);
  return store;
}

const identityOf = async (keyStore: KeyStore, options: Partial<OpenOlmMachineOptions> = {}) => {
  await using engine = await openOlmMachine({ keyStore, ...DEVICE, key: KEY, ...options });
  const { curve25519, ed25519 } = engine.machine.identityKeys;
  return [curve25519.toBase64(), ed25519.toBase64()];
};

describe.each(Object.entries(places))("an OlmMachine on %s", (_, place) => {
  it("has the same identity through a second instance", async () => {
    const open = await place();
    await using first = await ready(open());
    const identity = await identityOf(first);
    await first.close();
    await using second = await ready(open());
    expect(await identityOf(second, { create: "never" })).toEqual(identity);
  });

  it("is opened by the right passphrase, in any normal form, and by no other", async () => {
    await using store = await ready((await place())());
    const identity = await identityOf(store, { key: undefined, passphrase: "caf\u00e9" });
    expect(await identityOf(store, { key: undefined, passphrase: "cafe\u0301" })).toEqual(identity);
    await expect(identityOf(store, { key: undefined, passphrase: "cafe" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_WRONG_KEY",
    });
    expect(await identityOf(store, { key: undefined, passphrase: "caf\u00e9" })).toEqual(identity);
  });

  it("is not opened by another key, a passphrase, or without a key: and its state stays as it is", async () => {
    await using store = await ready((await place())());
    const identity = await identityOf(store);
    const before = await store.listDevices();
    for (const wrong of [
      { key: WRONG },
      { key: undefined, passphrase: "guess" },
      { key: undefined, plaintext: "allow" as const },
    ]) {
      await expect(identityOf(store, wrong)).rejects.toMatchObject({
        code: "ERR_KEY_STORE_WRONG_KEY",
        retryable: false,
      });
    }
    const after = await store.listDevices();
    expect(after.map(({ revision, records }) => ({ revision, records }))).toEqual(
      before.map(({ revision, records }) => ({ revision, records })),
    );
    expect(await identityOf(store)).toEqual(identity);
  });

  it("becomes durable as one commit when it is new, and writes nothing when it is only opened again", async () => {
    await using store = await ready((await place())());
    await identityOf(store);
    expect((await store.listDevices()).map(({ revision }) => revision)).toEqual([1n]);
    await identityOf(store);
    expect((await store.listDevices()).map(({ revision }) => revision)).toEqual([1n]);
  });

  it("runs its calls one at a time, each as one commit, and several in one run as one", async () => {
    await using store = await ready((await place())());
    await using engine = await openOlmMachine({ keyStore: store, ...DEVICE, key: KEY });
    const { machine, deviceStore } = engine;
    const before = deviceStore.revision;
    const room = new RoomId("!room:example.org");
    const users = () => [new UserId(DEVICE.userId)];
    await Promise.all([machine.updateTrackedUsers(users()), machine.bootstrapCrossSigning(true)]);
    expect(deviceStore.revision).toBe(before + 2n);
    await engine.run(async (inner) => {
      const { RoomSettings } = await import("@matrix-org/matrix-sdk-crypto-wasm");
      await inner.setRoomSettings(room, new RoomSettings());
      await deviceStore.commit([
        { type: "put", collection: "bot", key: Buffer.from("token"), value: Buffer.from("s1") },
      ]);
    });
    expect(deviceStore.revision).toBe(before + 3n);
    expect(Buffer.from((await deviceStore.get("bot", Buffer.from("token"))) ?? "").toString()).toBe("s1");
  });

  it("has one writer: who takes it over fences the first, whose next call rejects", async () => {
    const open = await place();
    await using one = await ready(open());
    await using two = await ready(open());
    await using first = await openOlmMachine({ keyStore: one, ...DEVICE, key: KEY });
    await expect(openOlmMachine({ keyStore: two, ...DEVICE, key: KEY, lease: "fail" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_LEASE_HELD",
      holder: { pid: process.pid },
    });
    await using second = await openOlmMachine({ keyStore: two, ...DEVICE, key: KEY, lease: "take-over" });
    await expect(first.machine.bootstrapCrossSigning(true)).rejects.toMatchObject({ code: "ERR_KEY_STORE_FENCED" });
    await expect(first.machine.outgoingRequests()).rejects.toMatchObject({ code: "ERR_KEY_STORE_POISONED" });
    expect(first.deviceStore.failed.aborted).toBe(true);
    const uploads = (await second.machine.outgoingRequests()).filter(({ type }) => type === RequestType.KeysUpload);
    expect(uploads).toHaveLength(1);
  });

  it("keeps the devices of one process apart, and takes its globals out with the last of them", async () => {
    await using store = await ready((await place())());
    const other = { deviceId: "OTHER" };
    const [bot, second] = [
      await openOlmMachine({ keyStore: store, ...DEVICE, key: KEY }),
      await openOlmMachine({ keyStore: store, ...DEVICE, ...other, key: KEY }),
    ];
    expect(bot.machine.identityKeys.ed25519.toBase64()).not.toBe(second.machine.identityKeys.ed25519.toBase64());
    expect("indexedDB" in globalThis).toBe(true);
    await bot.close();
    expect("indexedDB" in globalThis).toBe(true);
    await second.machine.updateTrackedUsers([new UserId(DEVICE.userId)]);
    await second.close();
    expect("indexedDB" in globalThis).toBe(false);
  });
});

describe("opening an OlmMachine", () => {
  it("needs a key, or a word for plaintext, on a store that others may read", async () => {
    await using store = await ready(new PostgresKeyStore({ url: await postgres.createDatabase() }));
    await expect(openOlmMachine({ keyStore: store, ...DEVICE })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_CONFIG",
    });
    expect(await store.listDevices()).toEqual([]);
    await using engine = await openOlmMachine({ keyStore: store, ...DEVICE, plaintext: "allow" });
    expect(engine.deviceStore.revision).toBe(1n);
  });

  it("says why where the key store is not ready", async () => {
    await using store = new MemoryKeyStore();
    await expect(openOlmMachine({ keyStore: store, ...DEVICE })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
      message: expect.stringContaining("init() has not answered true"),
    });
  });

  it.each([
    { key: new Uint8Array(31) },
    { key: KEY, passphrase: "both" },
    { passphrase: "" },
    { plaintext: "yes" as "allow" },
  ])("refuses options that cannot be meant: %o", async (wrong) => {
    await using store = await ready(new MemoryKeyStore());
    await expect(openOlmMachine({ keyStore: store, ...DEVICE, ...wrong })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_CONFIG",
    });
  });

  it("refuses a user id that is none, and leaves nothing behind", async () => {
    await using store = await ready(new MemoryKeyStore());
    await expect(openOlmMachine({ keyStore: store, userId: "bot", deviceId: "BOT", key: KEY })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_INVALID_ARGUMENT",
    });
    expect(await store.listDevices()).toEqual([]);
  });

  it('makes no identity with create: "never", not even for a device whose first opening was cut short', async () => {
    await using store = await ready(new MemoryKeyStore());
    await (await store.openDevice(DEVICE))?.close();
    await expect(openOlmMachine({ keyStore: store, ...DEVICE, key: KEY, create: "never" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_DEVICE_NOT_FOUND",
    });
    expect((await store.listDevices()).map(({ records }) => records)).toEqual([0]);
  });

  it("is ended by the machine's own close, and refuses to be closed inside its own call", async () => {
    await using store = await ready(new MemoryKeyStore());
    const engine = await openOlmMachine({ keyStore: store, ...DEVICE, key: KEY });
    await engine.run(async () => {
      await expect(engine.close()).rejects.toMatchObject({ code: "ERR_KEY_STORE_INVALID_ARGUMENT" });
    });
    expect(await engine.machine.displayName).toBeUndefined();
    {
      using _ = engine.machine;
    }
    await engine.close();
    await expect(engine.machine.outgoingRequests()).rejects.toMatchObject({ code: "ERR_KEY_STORE_CLOSED" });
    await using again = await openOlmMachine({ keyStore: store, ...DEVICE, key: KEY, lease: "fail" });
    expect(again.deviceStore.epoch).toBe(2n);
  });

  it("leaves no key and no identity in the clear in the file", async () => {
    const path = join(folder, "sealed.sqlite");
    let curve = "";
    {
      await using store = await ready(new SqliteKeyStore({ path }));
      [curve = ""] = await identityOf(store);
    }
    const content = readFileSync(path);
    expect(content.includes(Buffer.from(curve))).toBe(false);
    expect(content.includes(Buffer.from(KEY))).toBe(false);
    expect(content.includes("identity_keys")).toBe(false);
  });
});
