import { expect, it } from "vitest";
import { MemoryKeyStore, MemoryStorage } from "../src/index.ts";

const DEVICE = { userId: "@bot:example.org", deviceId: "BOT" };

it("a storage made from a snapshot is the same store, with its devices and records and no lease in force", async () => {
  const storage = new MemoryStorage();
  await using store = new MemoryKeyStore({ storage });
  await store.init();
  const device = await store.openDevice(DEVICE);
  const [key, value] = [Buffer.from([1]), Buffer.from("kept")];
  await device?.commit([{ type: "put", collection: "notes", key, value }]);

  await using copy = new MemoryKeyStore({ storage: new MemoryStorage(storage.snapshot()) });
  await copy.init();
  expect(copy.storeId).toBe(store.storeId);
  expect(await copy.listDevices()).toEqual([
    { ...DEVICE, epoch: 1n, revision: 1n, holder: undefined, records: 1, bytes: 5, status: "active" },
  ]);
  const opened = await copy.openDevice(DEVICE, { create: "never", lease: "fail" });
  expect([opened?.epoch, opened?.revision]).toEqual([2n, 1n]);
  expect(Buffer.from((await opened?.get("notes", key)) ?? []).toString()).toBe("kept");
});
