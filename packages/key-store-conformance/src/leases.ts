import assert from "node:assert/strict";
import type { KeyStore } from "@holdfast/key-store-core";
import { text, toHex } from "./bytes.ts";
import { assertPoisoned, rejection, rejectsWith } from "./expect.ts";
import { cut, gate } from "./faulty-driver.ts";
import { DEVICE, type Define, open, put, SESSIONS } from "./scene.ts";

export function leaseTests(define: Define): void {
  define("a device that is open elsewhere is refused, and the error tells who has it", async (scene) => {
    const first = await scene.store({ label: "the first bot" });
    const device = await open(first);
    const second = await scene.store({ label: "the second bot" });
    const { holder } = await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () =>
      second.openDevice(DEVICE, { lease: "fail" }),
    );
    assert.equal(holder?.label, "the first bot");
    assert.equal(holder.pid, process.pid);
    assert.notEqual(holder.host, "");
    await device.commit([put("a", "1")]);
    assert.equal(device.revision, 1n, "the first one writes on");
  });

  define("a device that is open in the same store is refused as well", async (scene) => {
    const store = await scene.store();
    const device = await open(store);
    await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () => store.openDevice(DEVICE, { lease: "fail" }));
    await device.close();
    assert.equal((await open(store)).epoch, device.epoch + 1n);
  });

  define("of many that open a device at once, one has it", async (scene) => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => scene.store()));
    const answers = await Promise.allSettled(stores.map((store) => store.openDevice(DEVICE, { lease: "fail" })));
    const opened = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    assert.equal(opened.length, 1);
    assert.equal(opened[0]?.epoch, 1n);
    for (const answer of answers) {
      if (answer.status === "rejected")
        await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () => Promise.reject(answer.reason));
    }
  });

  define("of many that take a device over at once, the last one has it", async (scene) => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => scene.store()));
    const devices = await Promise.all(stores.map((store) => open(store, DEVICE, { lease: "take-over" })));
    const byEpoch = devices.sort((a, b) => Number(a.epoch - b.epoch));
    assert.deepEqual(
      byEpoch.map(({ epoch }) => epoch),
      [1n, 2n, 3n, 4n],
    );
    for (const fenced of byEpoch.slice(0, 3)) {
      await rejectsWith("ERR_KEY_STORE_FENCED", () => fenced.commit([put("a", `epoch ${fenced.epoch}`)]));
    }
    await byEpoch[3]?.commit([put("a", "epoch 4")]);
    assert.equal(toHex(await byEpoch[3]?.get(SESSIONS, text("a"))), toHex(text("epoch 4")));
  });

  define("whoever waits for a lease gets it when its holder closes", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1")]);
    const { driver, store } = await scene.faultyStore();
    const told = driver.answered("acquire");
    const waiting = store.openDevice(DEVICE, { waitMs: 20_000 });
    await told;
    await device.commit([put("a", "2")]);
    await device.close();
    const next = await waiting;
    assert.equal(next?.epoch, 2n);
    assert.equal(next.revision, 2n);
    assert.equal(toHex(await next.get(SESSIONS, text("a"))), "32");
  });

  define("waiting for a lease ends with waitMs, and tells who kept it", async (scene) => {
    await open(await scene.store({ label: "stays" }));
    const second = await scene.store();
    const error = await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () => second.openDevice(DEVICE, { waitMs: 40 }));
    assert.equal(error.holder?.label, "stays");
    assert.equal(error.retryable, true);
  });

  define("waiting for a lease ends when its signal aborts, with the signal's reason", async (scene) => {
    const device = await scene.device();
    const { driver, store } = await scene.faultyStore();
    const abort = new AbortController();
    const reason = new Error("the program ends");
    const told = driver.answered("acquire");
    const waiting = rejection(() => store.openDevice(DEVICE, { signal: abort.signal }));
    await told;
    abort.abort(reason);
    assert.equal(await waiting, reason);
    const again = await rejection(() => store.openDevice(DEVICE, { signal: abort.signal }));
    assert.equal(again, reason, "a signal that has aborted already");
    await device.close();
    assert.equal((await open(store)).epoch, 2n, "nobody took the lease after the wait ended");
  });

  define("closing the store ends its wait for a lease", async (scene) => {
    await scene.device();
    const { driver, store } = await scene.faultyStore();
    const told = driver.answered("acquire");
    const waiting = rejectsWith("ERR_KEY_STORE_CLOSED", () => store.openDevice(DEVICE));
    await told;
    await store.close();
    await waiting;
  });

  define("a device that is taken over fences its old writer, whose commit writes nothing", async (scene) => {
    const old = await scene.device({ label: "the old one" });
    await old.commit([put("a", "1")]);
    const store = await scene.store({ label: "the new one" });
    const device = await open(store, DEVICE, { lease: "take-over" });
    assert.equal(device.epoch, old.epoch + 1n);
    assert.equal(device.revision, 1n);
    const error = await rejectsWith("ERR_KEY_STORE_FENCED", () => old.commit([put("a", "2"), put("b", "2")]));
    assert.equal(error.retryable, false);
    assert.equal(error.holder?.label, "the new one");
    await assertPoisoned(old, error);
    assert.equal(toHex(await device.get(SESSIONS, text("a"))), "31");
    assert.equal(await device.count(SESSIONS), 1);
    await device.commit([put("a", "3")]);
    assert.equal(device.revision, 2n);
  });

  define("a fenced writer that closes leaves the lease of its successor alone", async (scene) => {
    const old = await scene.device();
    const store = await scene.store();
    const device = await open(store, DEVICE, { lease: "take-over" });
    await old.close();
    const third = await scene.store();
    await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () => third.openDevice(DEVICE, { lease: "fail" }));
    await device.commit([put("a", "1")]);
    assert.equal(device.revision, 1n);
  });

  define("a fenced writer that opens again sees what its successor wrote", async (scene) => {
    const first = await scene.store();
    const old = await open(first);
    await old.commit([put("a", "1"), put("b", "1")]);
    assert.equal(toHex(await old.get(SESSIONS, text("a"))), "31");
    assert.equal(await old.get(SESSIONS, text("c")), undefined);
    const device = await open(await scene.store(), DEVICE, { lease: "take-over" });
    await device.commit([put("a", "2"), { type: "delete", collection: SESSIONS, key: text("b") }, put("c", "2")]);
    await device.close();
    await old.close();
    const again = await open(first);
    assert.equal(toHex(await again.get(SESSIONS, text("a"))), "32");
    assert.equal(await again.get(SESSIONS, text("b")), undefined);
    assert.equal(toHex(await again.get(SESSIONS, text("c"))), "32");
  });

  define('with create: "never" a device that is not there is an error, and stays away', async (scene) => {
    const store = await scene.store();
    for (const lease of ["wait", "fail", "take-over"] as const) {
      const opening = () => store.openDevice(DEVICE, { create: "never", lease });
      await rejectsWith("ERR_KEY_STORE_DEVICE_NOT_FOUND", opening);
    }
    assert.deepEqual(await store.listDevices(), []);
    await (await open(store)).close();
    const device = await open(store, DEVICE, { create: "never" });
    assert.equal(device.epoch, 2n);
  });

  define("an opening that is carried out after it was given up does not keep the lease", async (scene) => {
    const { driver, store } = await scene.faultyStore({ operationTimeoutMs: 300 });
    const late = gate();
    driver.always("acquire", late.fault);
    await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => store.openDevice(DEVICE, { lease: "fail" }));
    const answered = driver.answered("acquire");
    late.open();
    await answered;
    const device = await open(await scene.store(), DEVICE, { lease: "wait", waitMs: 5_000 });
    await device.commit([put("a", "1")]);
    assert.equal(device.revision, 1n);
  });

  define("an opening whose answer is lost does not wait for itself", async (scene) => {
    const { driver, store } = await scene.faultyStore();
    driver.next("acquire", async (attempt) => {
      await attempt();
      throw cut();
    });
    const device = await open(store, DEVICE, { lease: "fail" });
    await device.commit([put("a", "1")]);
    assert.equal(device.revision, 1n);
    const rival = await scene.store();
    await rejectsWith("ERR_KEY_STORE_LEASE_HELD", () => rival.openDevice(DEVICE, { lease: "fail" }));
  });

  define(
    "a lease whose time limit is over may be taken, which fences its holder",
    async (scene) => {
      const driver = await scene.driver();
      const dead = await scene.acquire(driver);
      await scene.subject.expireLeases?.(scene.place);
      const store: KeyStore = await scene.store();
      const [summary] = await store.listDevices();
      assert.equal(summary?.holder, undefined, "nobody has the device open");
      assert.deepEqual((await store.stats()).usage?.leases, []);
      const device = await open(store);
      assert.equal(device.epoch, dead.guard.epoch + 1n);
      assert.equal(await dead.device.commit(dead.guard, []), false);
      await device.commit([put("a", "1")]);
      assert.equal(device.revision, 1n);
    },
    { needs: "expireLeases" },
  );

  define(
    "a lease that ran out and that nobody took still guards its holder's commits",
    async (scene) => {
      const driver = await scene.driver();
      const slow = await scene.acquire(driver);
      await scene.subject.expireLeases?.(scene.place);
      assert.equal(await slow.device.commit(slow.guard, []), true, "correctness does not depend on a clock");
      assert.equal((await slow.device.state())?.revision, slow.guard.revision + 1n);
    },
    { needs: "expireLeases" },
  );

  define(
    "a device whose lease ran out can be deleted",
    async (scene) => {
      const driver = await scene.driver();
      await scene.acquire(driver);
      await scene.subject.expireLeases?.(scene.place);
      const store = await scene.store();
      assert.equal(await store.deleteDevice(DEVICE), true);
      assert.deepEqual(await store.listDevices(), []);
    },
    { needs: "expireLeases" },
  );
}
