import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { expect, it } from "vitest";
import { Child } from "./children.ts";
import { bytes, DEVICE, deviceOf, openDevice, readyStore } from "./devices.ts";
import { newPath } from "./place.ts";

it("lets one of two processes write a device, and fences the other", async () => {
  const path = newPath();
  const child = new Child("hold", path);
  expect(await child.says()).toBe("open");
  const store = await readyStore(path);
  await expect(store.openDevice(DEVICE, { lease: "fail" })).rejects.toMatchObject({
    code: "ERR_KEY_STORE_LEASE_HELD",
    holder: { pid: child.process.pid, label: "the child" },
  });
  const device = await openDevice(store, { lease: "take-over" });
  child.write("go on");
  expect(await child.says(2)).toBe("ERR_KEY_STORE_FENCED");
  expect(await device.count("sessions")).toBe(0);
  await device.commit([{ type: "put", collection: "sessions", key: bytes("a"), value: bytes("1") }]);
});

it("opens a device at once whose process was killed", async () => {
  const path = newPath();
  const child = new Child("hold", path);
  await child.says();
  await child.kill();
  const device = await deviceOf(path);
  expect(device.epoch).toBe(2n);
});

it("is installed once by many processes that begin together", async () => {
  const path = newPath();
  const children = Array.from({ length: 4 }, () => new Child("init", path, 5));
  const here = Promise.all([readyStore(path), readyStore(path)]);
  for (const child of children) expect(await child.says()).toEqual(["ready", "ready", "ready", "ready", "ready"]);
  await Promise.all(children.map((child) => child.ended));
  const [first, second] = await here;
  await (await openDevice(first)).close();
  expect(await second.listDevices()).toHaveLength(1);
  expect(readdirSync(dirname(path)).sort()).toEqual(["keys.db", "keys.db-shm", "keys.db-wal"]);
});

// Values of 300 kB make every fourth commit end with a checkpoint, so that kills fall into those too.
for (const size of [16, 300_000]) {
  it(`keeps every acknowledged commit, and each whole, when its writer is killed at any moment (${size} bytes)`, async () => {
    const path = newPath();
    let acknowledged = 0;
    for (let round = 1; round <= 12; round += 1) {
      const child = new Child("write", path, size);
      await child.says(1 + ((round * 5) % 13));
      await child.kill();
      const last = child.said.at(-1) as number;
      expect(last).toBeGreaterThan(acknowledged);

      const store = await readyStore(path);
      const device = await openDevice(store);
      const revision = Number(device.revision);
      expect([last, last + 1]).toContain(revision);
      const values = await device.getMany("sessions", ["a", "b", "c"].map(bytes));
      expect(values.map((value) => value && revisionIn(value))).toEqual([revision, revision, revision]);
      expect(values.map((value) => value?.byteLength)).toEqual([size, size, size]);
      expect((await store.stats()).usage?.collections).toEqual([
        { collection: "sessions", records: 3, bytes: 3 * (size + 1) },
      ]);
      await store.close();
      acknowledged = revision;
    }
  }, 120_000);
}

function revisionIn(value: Uint8Array): number {
  return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0));
}
