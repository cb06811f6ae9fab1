import assert from "node:assert/strict";
import type { DeviceRef } from "@holdfast/key-store-core";
import fc from "fast-check";
import { text, toHex } from "./bytes.ts";
import { rejectsWith } from "./expect.ts";
import { DEVICE, type Define, open, put, SESSIONS } from "./scene.ts";

/** Pairs that become one where ids are joined, folded, trimmed or normalised. */
const LOOKALIKES: readonly DeviceRef[] = [
  { userId: "@a", deviceId: "bc" },
  { userId: "@ab", deviceId: "c" },
  { userId: "@a|b", deviceId: "c" },
  { userId: "@a", deviceId: "b|c" },
  { userId: "@a\u0001b", deviceId: "c" },
  { userId: "@A", deviceId: "bc" },
  { userId: "@a", deviceId: "BC" },
  { userId: "@a ", deviceId: "bc" },
  { userId: "@a", deviceId: "bc " },
  { userId: "@\u00e9", deviceId: "D" },
  { userId: "@e\u0301", deviceId: "D" },
  { userId: "@\u{1f511}", deviceId: "D" },
  { userId: "@\ufffd", deviceId: "D" },
  { userId: "@%_'\"\\", deviceId: "D" },
];

function byUtf8(a: DeviceRef, b: DeviceRef): number {
  return Buffer.compare(text(a.userId), text(b.userId)) || Buffer.compare(text(a.deviceId), text(b.deviceId));
}

// Well-formed strings without U+0000, of at most 255 bytes.
const id = fc.string({ unit: "binary", minLength: 1, maxLength: 60 }).filter((string) => !string.includes("\0"));

export function deviceTests(define: Define): void {
  define("devices are isolated from one another, however alike their ids", async (scene) => {
    const store = await scene.store();
    for (const [at, ref] of LOOKALIKES.entries()) {
      const device = await open(store, ref);
      assert.equal(device.epoch, 1n, `a device of its own: ${JSON.stringify(ref)}`);
      assert.equal(await device.count(SESSIONS), 0);
      await device.commit([put("k", `${at}`), put(`only ${at}`, "")]);
    }
    await store.close();
    const other = await scene.store();
    for (const [at, ref] of LOOKALIKES.entries()) {
      const device = await open(other, ref);
      assert.equal(toHex(await device.get(SESSIONS, text("k"))), toHex(text(`${at}`)));
      assert.equal(await device.count(SESSIONS), 2);
      assert.equal(device.revision, 1n);
    }
  });

  define("what one device deletes, another keeps", async (scene) => {
    const store = await scene.store();
    const one = await open(store, { ...DEVICE, deviceId: "ONE" });
    const two = await open(store, { ...DEVICE, deviceId: "TWO" });
    for (const device of [one, two]) await device.commit([put("a", "1"), put("b", "2"), put("c", "3")]);
    await one.commit([
      { type: "delete", collection: SESSIONS, key: text("a") },
      { type: "deleteRange", collection: SESSIONS, range: { gte: text("b") } },
    ]);
    assert.equal(await two.count(SESSIONS), 3);
    await one.commit([{ type: "dropCollection", collection: SESSIONS }]);
    assert.equal(await two.count(SESSIONS), 3);
    assert.equal(toHex(await two.get(SESSIONS, text("a"))), "31");
    assert.equal(await one.count(SESSIONS), 0);
  });

  define("devices are listed by the UTF-8 bytes of their ids, with what they hold", async (scene) => {
    const store = await scene.store();
    for (const ref of LOOKALIKES) await (await open(store, ref)).close();
    const held = await open(store, LOOKALIKES[3] as DeviceRef);
    await held.commit([put("key", "value"), put("", "v")]);
    const listed = await store.listDevices();
    assert.deepEqual(
      listed.map(({ userId, deviceId }) => ({ userId, deviceId })),
      LOOKALIKES.toSorted(byUtf8),
    );
    const summary = listed.find(({ userId, deviceId }) => userId === "@a" && deviceId === "b|c");
    assert.deepEqual(
      { ...summary, holder: summary?.holder?.pid },
      {
        userId: "@a",
        deviceId: "b|c",
        epoch: 2n,
        revision: 1n,
        holder: process.pid,
        records: 2,
        bytes: 9,
        status: "active",
      },
    );
    const other = listed.find(({ userId, deviceId }) => userId === "@A" && deviceId === "bc");
    assert.deepEqual(
      { ...other },
      {
        userId: "@A",
        deviceId: "bc",
        epoch: 1n,
        revision: 0n,
        holder: undefined,
        records: 0,
        bytes: 0,
        status: "active",
      },
    );
  });

  define("ids and collection names may be any Unicode", async (scene) => {
    const store = await scene.store();
    await fc.assert(
      fc.asyncProperty(id, id, id, async (userId, deviceId, collection) => {
        const ref = { userId, deviceId };
        const device = await open(store, ref);
        await device.commit([put("k", userId, collection)]);
        await device.close();
        const again = await open(store, ref, { create: "never" });
        assert.equal(toHex(await again.get(collection, text("k"))), toHex(text(userId)));
        await again.close();
        const listed = await store.listDevices();
        assert.deepEqual(
          listed.map(({ userId, deviceId }) => ({ userId, deviceId })),
          [ref],
        );
        const collections = (await store.stats()).usage?.collections.filter(({ records }) => records > 0);
        assert.deepEqual(collections, [{ collection, records: 1, bytes: 1 + text(userId).length }]);
        assert.equal(await store.deleteDevice(ref), true);
      }),
      { numRuns: 25 },
    );
  });

  define("deleting a device removes it with all its records, and no other", async (scene) => {
    const store = await scene.store();
    const device = await open(store);
    await device.commit([put("a", "1"), put("b", "2", "another")]);
    const neighbour = await open(store, { ...DEVICE, deviceId: "NEIGHBOUR" });
    await neighbour.commit([put("a", "1")]);
    await device.close();
    assert.equal(await store.deleteDevice(DEVICE), true);
    assert.deepEqual(
      (await store.listDevices()).map(({ deviceId }) => deviceId),
      ["NEIGHBOUR"],
    );
    await rejectsWith("ERR_KEY_STORE_DEVICE_NOT_FOUND", () => store.openDevice(DEVICE, { create: "never" }));
    const usage = (await store.stats()).usage?.collections.filter(({ records }) => records > 0);
    assert.deepEqual(usage, [{ collection: SESSIONS, records: 1, bytes: 2 }]);
    const anew = await open(store);
    assert.equal(anew.revision, 0n);
    assert.equal(await anew.count(SESSIONS), 0);
    assert.equal(await anew.count("another"), 0);
    assert.equal(await anew.get(SESSIONS, text("a")), undefined);
    assert.equal(await neighbour.count(SESSIONS), 1);
  });

  define("deleting a device that is not there answers false", async (scene) => {
    const store = await scene.store();
    assert.equal(await store.deleteDevice(DEVICE), false);
    await (await open(store)).close();
    assert.equal(await store.deleteDevice(DEVICE), true);
    assert.equal(await store.deleteDevice(DEVICE), false);
  });

  define("a device that is open cannot be deleted, and the error tells who has it", async (scene) => {
    const device = await scene.device({ label: "busy" });
    await device.commit([put("a", "1")]);
    const store = await scene.store();
    const error = await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () => store.deleteDevice(DEVICE));
    assert.equal(error.holder?.label, "busy");
    await device.commit([put("b", "2")]);
    assert.equal(await device.count(SESSIONS), 2);
    await device.close();
    assert.equal(await store.deleteDevice(DEVICE), true);
  });
}
