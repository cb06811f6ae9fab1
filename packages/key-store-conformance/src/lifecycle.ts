import assert from "node:assert/strict";
import type { DeviceStore } from "@holdfast/key-store-core";
import { text, toHex } from "./bytes.ts";
import { rejectsWith } from "./expect.ts";
import { cutBefore, gate, type Hook, LIMITS } from "./faulty-driver.ts";
import { DEVICE, type Define, open, put, SESSIONS } from "./scene.ts";

async function assertClosed(device: DeviceStore): Promise<void> {
  const key = text("a");
  await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.get(SESSIONS, key));
  await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.getMany(SESSIONS, [key]));
  await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.list(SESSIONS, {}, { limit: 1 }));
  await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.count(SESSIONS));
  await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.commit([put("a", "1")]));
  await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.batch(async () => assert.fail("the work ran")));
}

/** Work that may be in flight when a store is closed, and the hook where it is held up. */
const IN_FLIGHT: readonly (readonly [name: string, hook: Hook, work: (device: DeviceStore) => Promise<unknown>])[] = [
  ["a read", "getMany", (device) => device.get(SESSIONS, text("in flight"))],
  ["a listing", "list", (device) => device.list(SESSIONS, {}, { limit: 1 })],
  ["a commit", "commit", (device) => device.commit([put("in flight", "1")])],
  ["a batch", "commit", (device) => device.batch(() => device.commit([put("in flight", "1")]))],
];

export function lifecycleTests(define: Define): void {
  define("a second instance sees everything that the first one committed", async (scene) => {
    const first = await scene.store();
    const device = await open(first);
    await device.commit([put("a", "1", "x"), put("b", "2", "y")]);
    await device.commit([put("a", "3", "x")]);
    await first.close();
    const again = await scene.device();
    assert.equal(toHex(await again.get("x", text("a"))), "33");
    assert.equal(toHex(await again.get("y", text("b"))), "32");
    assert.equal(again.revision, 2n);
  });

  define("the epoch grows with every opening, and the revision stays", async (scene) => {
    for (let opening = 1n; opening <= 4n; opening++) {
      const device = await scene.device();
      assert.equal(device.epoch, opening);
      assert.equal(device.revision, opening - 1n);
      assert.deepEqual({ ...device.device }, { ...DEVICE });
      await device.commit([put("a", `${opening}`)]);
      await device.close();
    }
  });

  define("a device store that is closed throws ERR_KEY_STORE_CLOSED from every method", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1")]);
    await device.close();
    await assertClosed(device);
    await device.close();
    await Promise.all([device.close(), device.close()]);
  });

  define("closing the key store closes its device stores and gives their leases back", async (scene) => {
    const store = await scene.store();
    const one = await open(store, { ...DEVICE, deviceId: "ONE" });
    const two = await open(store, { ...DEVICE, deviceId: "TWO" });
    await one.commit([put("a", "1")]);
    await Promise.all([store.close(), store.close()]);
    await assertClosed(one);
    await assertClosed(two);
    const other = await scene.store();
    assert.equal((await open(other, one.device)).epoch, 2n);
    assert.equal((await open(other, two.device)).epoch, 2n);
  });

  for (const [name, hook, work] of IN_FLIGHT) {
    define(`closing waits for ${name} in flight`, async (scene) => {
      const { driver, store, device } = await scene.faultyDevice();
      const events: string[] = [];
      const held = gate();
      driver.next(hook, held.fault);
      const working = work(device).then(() => events.push("worked"));
      await held.reached;
      const closing = device.close().then(() => events.push("device closed"));
      const closingStore = store.close().then(() => events.push("store closed"));
      await rejectsWith("ERR_KEY_STORE_CLOSED", () => device.get(SESSIONS, text("a")));
      held.open();
      await Promise.all([working, closing, closingStore]);
      assert.deepEqual(events, ["worked", "device closed", "store closed"]);
      const again = await scene.device();
      assert.equal(await again.count(SESSIONS), hook === "commit" ? 1 : 0);
    });
  }

  define("closing in the middle of a batch keeps the whole batch", async (scene) => {
    const device = await scene.device();
    const begun = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const batch = device.batch(async () => {
      await device.commit([put("a", "1")]);
      begun.resolve();
      await finish.promise;
      assert.equal(toHex(await device.get(SESSIONS, text("a"))), "31", "the batch may read on");
      await device.commit([put("b", "2")]);
    });
    await begun.promise;
    const closing = device.close();
    finish.resolve();
    await Promise.all([batch, closing]);
    await assertClosed(device);
    const again = await scene.device();
    assert.equal(again.revision, 1n);
    assert.equal(await again.count(SESSIONS), 2);
  });

  define(
    "a read that waits for the end of a batch is answered, though the store is closed meanwhile",
    async (scene) => {
      const { driver, device } = await scene.faultyDevice();
      const durable = gate();
      driver.next("commit", durable.fault);
      const batch = device.batch(() => device.commit([put("a", "1")]));
      await durable.reached;
      const read = device.get(SESSIONS, text("a"));
      const closing = device.close();
      durable.open();
      assert.equal(toHex(await read), "31");
      await Promise.all([batch, closing]);
    },
  );

  define("closing waits for commits that have not begun", async (scene) => {
    const device = await scene.device();
    const commits = Array.from({ length: 5 }, (_, at) => device.commit([put(`${at}`, "")]));
    await device.close();
    await Promise.all(commits);
    const again = await scene.device();
    assert.equal(again.revision, 5n);
    assert.equal(await again.count(SESSIONS), 5);
  });

  define("closing the key store waits for a listing and an opening in flight", async (scene) => {
    const { driver, store } = await scene.faultyStore();
    const listing = gate();
    const opening = gate();
    driver.next("listDevices", listing.fault);
    driver.next("acquire", opening.fault);
    const listed = store.listDevices();
    // An opening that closing overtakes may be given or refused, but may not keep the lease.
    const opened = store.openDevice(DEVICE, { lease: "fail" }).then(
      () => {},
      () => {},
    );
    await Promise.all([listing.reached, opening.reached]);
    const closing = store.close();
    // Whatever closing does without waiting for the two, it has done in the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(driver.calls("disconnect"), 0, "the connection stays until both have ended");
    listing.open();
    opening.open();
    assert.deepEqual(await listed, []);
    await opened;
    await closing;
    assert.equal(driver.calls("disconnect"), 1);
    assert.equal(driver.afterDisconnect, 0, "no hook is called after disconnect");
    const other = await scene.store();
    assert.ok((await open(other)).epoch >= 1n, "the lease was given back");
  });

  define("closing from inside a batch is refused, and the batch goes on", async (scene) => {
    const store = await scene.store();
    const device = await open(store);
    await device.batch(async () => {
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => device.close());
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => store.close());
      await device.commit([put("a", "1")]);
    });
    assert.equal(device.revision, 1n);
    await device.close();
  });

  define("closing never throws, though the lease cannot be given back", async (scene) => {
    const { driver, store, device } = await scene.faultyDevice(LIMITS);
    driver.cutEverything();
    await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => device.commit([put("a", "1")]));
    await device.close();
    await store.close();
    assert.deepEqual(store.status, { state: "closed" });
  });

  define("giving the lease back rides out a short cut", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.next("release", cutBefore);
    await device.close();
    const other = await scene.store();
    assert.equal((await open(other)).epoch, 2n);
  });

  define("a device that is closed may be opened again by the same key store", async (scene) => {
    const store = await scene.store();
    const device = await open(store);
    await device.commit([put("a", "1")]);
    assert.equal(await device.get(SESSIONS, text("b")), undefined);
    await device.close();
    const again = await open(store);
    assert.equal(again.epoch, 2n);
    assert.equal(toHex(await again.get(SESSIONS, text("a"))), "31");
    await again.commit([put("b", "2")]);
    assert.equal(toHex(await again.get(SESSIONS, text("b"))), "32");
    await assertClosed(device);
  });
}
