import assert from "node:assert/strict";
import type { KeyStore } from "@holdfast/key-store-core";
import { rejectsWith } from "./expect.ts";
import { cutBefore, LIMITS, silence } from "./faulty-driver.ts";
import { DEVICE, type Define, open, put, ready } from "./scene.ts";

/** Fails unless every method says that there is nothing to be had, and none throws. */
async function assertNothingToBeHad(store: KeyStore): Promise<void> {
  assert.equal(await store.openDevice(DEVICE), null, "openDevice");
  assert.equal(await store.openDevice(DEVICE, { create: "never", lease: "take-over" }), null, "openDevice");
  assert.deepEqual(await store.listDevices(), [], "listDevices");
  assert.equal(await store.deleteDevice(DEVICE), false, "deleteDevice");
  const stats = await store.stats();
  assert.equal(stats.kind, store.kind);
  assert.equal(stats.persistence, store.persistence);
  assert.equal(stats.mode, store.mode);
  assert.deepEqual(stats.status, store.status, "the stats carry the status");
  assert.equal(stats.usage, undefined, "what the database cannot be asked is undefined");
  assert.equal(stats.counters.commits, 0);
}

/** Fails unless a store that cannot be reached behaves as the contract says. */
async function assertUnavailable(store: KeyStore): Promise<void> {
  const before = Date.now();
  assert.equal(await store.init(), false, "init");
  const { status } = store;
  assert.ok(status.state === "unavailable", `the status is ${status.state}`);
  assert.notEqual(status.reason, "", "the status has a reason");
  assert.match(status.code, /^ERR_KEY_STORE_[A-Z_]+$/, "the status has a code");
  assert.ok(status.since.getTime() >= before && status.since.getTime() <= Date.now(), "since is when it was found out");
  await assertNothingToBeHad(store);
  assert.equal(await store.init(), false, "init, a second time");
  await store.close();
}

export function availabilityTests(define: Define): void {
  define("init answers true and the status says ready", async (scene) => {
    const store = scene.newStore();
    assert.deepEqual(store.status, { state: "new" });
    assert.equal(await store.init(), true);
    assert.equal(store.status.state, "ready");
    assert.ok(store.status.state === "ready" && store.status.since instanceof Date);
    assert.equal(await store.init(), true, "init may be called again");
    assert.equal(store.status.state, "ready");
  });

  define("a store and its driver describe themselves alike", async (scene) => {
    const store = scene.newStore();
    const driver = await scene.driver();
    for (const property of ["kind", "name", "persistence", "mode"] as const) {
      assert.equal(store[property], driver[property], property);
      assert.notEqual(store[property], "", property);
    }
    assert.ok(["durable", "volatile"].includes(store.persistence));
    assert.ok(["production", "development", "ephemeral"].includes(store.mode));
  });

  define("stores that are initialised at once on an empty place all become ready", async (scene) => {
    const stores = Array.from({ length: 4 }, () => scene.newStore());
    assert.deepEqual(await Promise.all(stores.map((store) => store.init())), [true, true, true, true]);
    const device = await open(stores[0] as KeyStore);
    await device.commit([put("a", "1")]);
    await device.close();
    const again = await open(stores[3] as KeyStore);
    assert.equal(again.revision, 1n);
  });

  define("calls of init made at once share one answer", async (scene) => {
    const { driver, store } = scene.newFaultyStore();
    assert.deepEqual(await Promise.all([store.init(), store.init(), store.init()]), [true, true, true]);
    assert.equal(driver.calls("connect"), 1);
  });

  define("before init every method says that there is nothing to be had", async (scene) => {
    const store = scene.newStore();
    await assertNothingToBeHad(store);
    assert.deepEqual(store.status, { state: "new" }, "asking does not connect");
  });

  define("a database that refuses the connection makes init false, and no method throws", async (scene) => {
    const { driver, store } = scene.newFaultyStore();
    driver.always("connect", cutBefore);
    await assertUnavailable(store);
    assert.ok((await store.stats()).status.state === "closed");
  });

  define("a database that accepts and says nothing makes init false", async (scene) => {
    const { driver, store } = scene.newFaultyStore({ connectTimeoutMs: 30 });
    driver.always("connect", silence);
    await assertUnavailable(store);
  });

  define("an error of the engine's own makes init false, not an exception", async (scene) => {
    const { driver, store } = scene.newFaultyStore();
    driver.always("connect", async () => {
      throw new TypeError("the engine is in an unheard-of state");
    });
    await assertUnavailable(store);
  });

  define(
    "the adapter's own unavailable store makes init false, and no method throws",
    async (scene) => {
      const store = scene.subject.unavailable?.({ connectTimeoutMs: 2_000 });
      assert.ok(store !== undefined);
      await assertUnavailable(scene.adopt(store));
    },
    { needs: "unavailable" },
  );

  define("a store that was unavailable becomes ready when init finds the database back", async (scene) => {
    const { driver, store } = scene.newFaultyStore();
    driver.always("connect", cutBefore);
    assert.equal(await store.init(), false);
    driver.heal();
    assert.equal(await store.init(), true);
    assert.equal(store.status.state, "ready");
    const device = await open(store);
    await device.commit([put("a", "1")]);
    assert.equal(device.revision, 1n);
  });

  define("once ready, a database that is gone is an exception and never an empty answer", async (scene) => {
    const { driver, store } = await scene.faultyStore(LIMITS);
    await (await open(store)).close();
    driver.cutEverything();
    await Promise.all([
      rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => store.listDevices()),
      rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => store.openDevice(DEVICE)),
      rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => store.deleteDevice(DEVICE)),
    ]);
    const stats = await store.stats();
    assert.equal(stats.usage, undefined);
    assert.equal(stats.counters.lastError?.code, "ERR_KEY_STORE_UNAVAILABLE");
    assert.equal(await store.init(), false, "init looks again");
    await assertNothingToBeHadNow(store);
  });

  define("a short cut is ridden out by every method of a store", async (scene) => {
    const { driver, store } = await scene.faultyStore();
    driver.next("acquire", cutBefore, cutBefore);
    const device = await open(store);
    await device.close();
    driver.next("listDevices", cutBefore);
    assert.equal((await store.listDevices()).length, 1);
    driver.next("deleteDevice", cutBefore);
    assert.equal(await store.deleteDevice(DEVICE), true);
    assert.ok((await store.stats()).counters.retries >= 4, "retries are counted");
  });

  define("after close every method but stats and close throws ERR_KEY_STORE_CLOSED", async (scene) => {
    const store = await scene.store();
    await store.close();
    assert.deepEqual(store.status, { state: "closed" });
    await rejectsWith("ERR_KEY_STORE_CLOSED", () => store.init());
    await rejectsWith("ERR_KEY_STORE_CLOSED", () => store.openDevice(DEVICE));
    await rejectsWith("ERR_KEY_STORE_CLOSED", () => store.listDevices());
    await rejectsWith("ERR_KEY_STORE_CLOSED", () => store.deleteDevice(DEVICE));
    const stats = await store.stats();
    assert.deepEqual(stats.status, { state: "closed" });
    assert.equal(stats.usage, undefined);
    await store.close();
  });

  define("a store that was never initialised can be closed", async (scene) => {
    const store = scene.newStore();
    await store.close();
    assert.deepEqual(store.status, { state: "closed" });
    await rejectsWith("ERR_KEY_STORE_CLOSED", () => store.init());
  });

  define("a store and a device are given back by `await using`", async (scene) => {
    let kept: KeyStore;
    {
      await using store = scene.newStore();
      await ready(store);
      await using device = await open(store);
      await device.commit([put("a", "1")]);
      kept = store;
    }
    assert.deepEqual(kept.status, { state: "closed" });
    const again = await scene.device();
    assert.equal(again.revision, 1n);
  });
}

/** As {@link assertNothingToBeHad}, for a store that has been ready before. */
async function assertNothingToBeHadNow(store: KeyStore): Promise<void> {
  assert.equal(store.status.state, "unavailable");
  assert.equal(await store.openDevice(DEVICE), null);
  assert.deepEqual(await store.listDevices(), []);
  assert.equal(await store.deleteDevice(DEVICE), false);
  assert.equal((await store.stats()).usage, undefined);
}
