import { type Change, isKeyStoreError, type KeyStore } from "@holdfast/key-store-core";
import { expect, it } from "vitest";
import { MemoryKeyStore, MemoryStorage } from "../src/index.ts";

const DEVICE = { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" };
const bytes = (text: string) => new TextEncoder().encode(text);
const put = (collection: string, key: string, value: string): Change => ({
  type: "put",
  collection,
  key: bytes(key),
  value: bytes(value),
});

async function ready(store: KeyStore): Promise<KeyStore> {
  expect(await store.init()).toBe(true);
  return store;
}

async function opened(store: KeyStore, device = DEVICE) {
  const opened = await store.openDevice(device, { lease: "fail" });
  if (opened === null) throw new Error("the store was not ready");
  return opened;
}

it("says what it is", async () => {
  await using store = await ready(new MemoryKeyStore());
  expect([store.kind, store.name, store.persistence, store.mode]).toEqual([
    "memory",
    "Memory",
    "volatile",
    "ephemeral",
  ]);
});

it("shows a second store on the same storage what the first committed", async () => {
  const storage = new MemoryStorage();
  await using first = await ready(new MemoryKeyStore({ storage }));
  const device = await opened(first);
  await device.commit([put("sessions", "a", "1")]);
  await device.close();

  await using second = await ready(new MemoryKeyStore({ storage }));
  const again = await opened(second);
  expect(await again.get("sessions", bytes("a"))).toEqual(bytes("1"));
  expect([again.epoch, again.revision]).toEqual([2n, 1n]);
});

it.each([[{}], [{ cacheBytes: undefined }]])("keeps no read cache unless it is asked for one: %o", async (options) => {
  await using store = await ready(new MemoryKeyStore(options));
  const device = await opened(store);
  for (let reads = 0; reads < 3; reads++) await device.get("sessions", bytes("a"));
  const { counters } = await store.stats();
  expect([counters.reads, counters.cacheHits, counters.cacheMisses]).toEqual([3, 0, 0]);
});

it("keeps two storages apart", async () => {
  await using first = await ready(new MemoryKeyStore());
  await (await opened(first)).commit([put("sessions", "a", "1")]);
  await using second = await ready(new MemoryKeyStore());
  expect(await second.listDevices()).toEqual([]);
});

it("counts records and bytes of keys and values, over all devices", async () => {
  await using store = await ready(new MemoryKeyStore());
  const one = await opened(store);
  await one.commit([put("b", "k1", "12345"), put("a", "k", ""), put("b", "k2", "1")]);
  await one.commit([put("b", "k1", "1"), { type: "delete", collection: "a", key: bytes("k") }]);
  const two = await opened(store, { userId: "@bot:example.org", deviceId: "AAAAAAAAAA" });
  await two.commit([put("b", "k1", "123")]);

  const { usage } = await store.stats();
  expect(usage?.devices).toBe(2);
  expect(usage?.collections).toEqual([{ collection: "b", records: 3, bytes: 11 }]);
  expect(usage?.leases.map(({ deviceId }) => deviceId)).toEqual(["AAAAAAAAAA", "JLAFKJWSCS"]);
  expect(await store.listDevices()).toMatchObject([
    { deviceId: "AAAAAAAAAA", epoch: 1n, revision: 1n, records: 1, bytes: 5 },
    { deviceId: "JLAFKJWSCS", epoch: 1n, revision: 2n, records: 2, bytes: 6 },
  ]);
});

it("lists devices by the UTF-8 bytes of their names, not by UTF-16 code units", async () => {
  await using store = await ready(new MemoryKeyStore());
  // U+FF5E is above the surrogates of U+1F511 in UTF-16, and below it in UTF-8.
  for (const userId of ["@\u{1F511}:example.org", "@～:example.org", "@a:example.org"]) {
    await (await opened(store, { userId, deviceId: "D" })).close();
  }
  expect((await store.listDevices()).map(({ userId }) => userId)).toEqual([
    "@a:example.org",
    "@～:example.org",
    "@\u{1F511}:example.org",
  ]);
});

it("does not keep a large buffer alive for a small value in it", async () => {
  await using store = await ready(new MemoryKeyStore());
  const device = await opened(store);
  const value = new Uint8Array(1_000_000).fill(7).subarray(10, 20);
  await device.commit([{ type: "put", collection: "c", key: bytes("k"), value }]);
  const stored = await device.get("c", bytes("k"));
  expect(stored).toEqual(new Uint8Array(10).fill(7));
  // The key is in it too.
  expect(stored?.buffer.byteLength).toBe(11);
});

it("keeps a buffer that a commit has most of, and copies nothing out of it", async () => {
  await using store = await ready(new MemoryKeyStore());
  const device = await opened(store);
  const large = new Uint8Array(1_000).fill(7);
  const puts = Array.from({ length: 60 }, (_, nth) => {
    const [key, value] = [large.subarray(nth * 10, nth * 10 + 1), large.subarray(nth * 10 + 1, nth * 10 + 10)];
    key[0] = nth;
    return { type: "put" as const, collection: "c", key, value };
  });
  await device.commit(puts);
  const stored = await device.get("c", Uint8Array.of(59));
  expect(stored).toEqual(new Uint8Array(9).fill(7));
  expect(stored?.buffer).toBe(large.buffer);
});

it("refuses options that are none", () => {
  expect(() => new MemoryKeyStore(null as unknown as object)).toThrow(
    expect.toSatisfy((error) => isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")),
  );
});

it("refuses a storage that is none", () => {
  const storage = {} as MemoryStorage;
  expect(() => new MemoryKeyStore({ storage })).toThrow(
    expect.toSatisfy((error) => isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")),
  );
});
