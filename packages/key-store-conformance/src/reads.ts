import assert from "node:assert/strict";
import type { DeviceStore } from "@holdfast/key-store-core";
import { text, toHex } from "./bytes.ts";
import { assertPoisoned, keysOf, rejectsWith } from "./expect.ts";
import { cutAfter, cutBefore, fatal, type Hook, LIMITS, silence } from "./faulty-driver.ts";
import { type Define, put, SESSIONS } from "./scene.ts";

/** Each way to read, and the hook of the driver that it comes to. */
const READS: readonly (readonly [name: string, hook: Hook, read: (device: DeviceStore) => Promise<unknown>])[] = [
  ["get", "getMany", (device) => device.get(SESSIONS, text("absent"))],
  ["getMany", "getMany", (device) => device.getMany(SESSIONS, [text("absent"), text("b")])],
  ["list", "list", (device) => device.list(SESSIONS, {}, { limit: 10 })],
  ["count", "count", (device) => device.count(SESSIONS)],
];

export function readFailureTests(define: Define): void {
  for (const [name, hook, read] of READS) {
    define(
      `a ${name} that fails for good throws and poisons, and never answers as if nothing were stored`,
      async (scene) => {
        const { driver, device } = await scene.faultyDevice(LIMITS);
        await device.commit([put("a", "1")]);
        driver.always(hook, cutBefore);
        const error = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => read(device));
        await assertPoisoned(device, error);
        driver.heal();
        await assertPoisoned(device, error);
      },
    );

    define(`a ${name} that meets a short cut is tried again`, async (scene) => {
      const { driver, store, device } = await scene.faultyDevice();
      await device.commit([put("a", "1")]);
      driver.next(hook, cutBefore, cutAfter);
      await read(device);
      assert.equal(driver.calls(hook), 3);
      assert.equal(device.failed.aborted, false);
      assert.equal((await store.stats()).counters.retries, 2);
    });
  }

  for (const [what, fault] of [
    ["whose connection stays broken", cutBefore],
    ["that the database never answers", silence],
  ] as const) {
    define(`a read ${what} ends with its time limit, and poisons`, async (scene) => {
      const { driver, device } = await scene.faultyDevice(LIMITS);
      driver.always("list", fault);
      const error = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => device.list(SESSIONS, {}, { limit: 1 }));
      assert.equal(error.retryable, true);
      await assertPoisoned(device, error);
    });
  }

  define("a device store that is poisoned is opened again by the same key store", async (scene) => {
    const { driver, store, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    driver.always("count", fatal("ERR_KEY_STORE_CORRUPT"));
    await rejectsWith("ERR_KEY_STORE_CORRUPT", () => device.count(SESSIONS));
    driver.heal();
    await device.close();
    const again = await store.openDevice(device.device, { lease: "fail" });
    assert.equal(again?.epoch, 2n);
    assert.equal(again.revision, 1n);
    assert.equal(again.failed.aborted, false);
    assert.equal(toHex(await again.get(SESSIONS, text("a"))), "31");
    await again.commit([put("b", "2")]);
    assert.deepEqual(keysOf(await again.list(SESSIONS, {}, { limit: 9 })), ["61", "62"]);
  });

  define("what a failed commit wrote is never read from the cache", async (scene) => {
    const { driver, store, device } = await scene.faultyDevice({ cacheBytes: 1 << 20 });
    await device.commit([put("a", "1")]);
    driver.always("commit", fatal());
    await rejectsWith("ERR_KEY_STORE_DISK_FULL", () => device.commit([put("a", "2")]));
    driver.heal();
    await device.close();
    const again = await store.openDevice(device.device, { lease: "fail" });
    assert.equal(toHex(await again?.get(SESSIONS, text("a"))), "31");
  });
}
