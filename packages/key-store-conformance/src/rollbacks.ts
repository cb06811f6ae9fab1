import assert from "node:assert/strict";
import { rejectsWith } from "./expect.ts";
import { DEVICE, type Define, open, put, puts, SESSIONS } from "./scene.ts";

export function rollbackTests(define: Define): void {
  define("a device behind what is known of it is not acquired, and nothing is written", async (scene) => {
    const driver = await scene.driver();
    const { device, guard, holder } = await scene.acquire(driver);
    assert.equal(await device.commit(guard, puts(["a", "1"])), true);
    await device.release(holder.id);
    const before = await driver.listDevices();
    const request = { device: DEVICE, holder: scene.holder(), create: true, force: true };
    const found = { epoch: 1n, revision: 1n };
    for (const known of [
      { epoch: 1n, revision: 2n },
      { epoch: 2n, revision: 1n },
    ]) {
      assert.deepEqual(await driver.acquire({ ...request, known }), { outcome: "rolled-back", found });
      assert.deepEqual(await driver.listDevices(), before);
    }
    const accepted = await driver.acquire({ ...request, known: { epoch: 9n, revision: 9n }, acceptRollback: true });
    assert.ok(accepted.outcome === "acquired");
    assert.deepEqual([accepted.epoch, accepted.revision], [2n, 1n]);
    await accepted.device.release(request.holder.id);
    const equal = await driver.acquire({ ...request, known: { epoch: 2n, revision: 1n } });
    assert.equal(equal.outcome, "acquired", "what is as it was known is taken");
  });

  define("a device that is known, and not there, is not made anew", async (scene) => {
    const driver = await scene.driver();
    const known = { epoch: 1n, revision: 0n };
    const request = { device: DEVICE, holder: scene.holder(), create: true, force: false, known };
    const found = { epoch: 0n, revision: 0n };
    assert.deepEqual(await driver.acquire(request), { outcome: "rolled-back", found });
    assert.deepEqual(await driver.acquire({ ...request, create: false }), { outcome: "rolled-back", found });
    assert.deepEqual(await driver.listDevices(), []);
    const accepted = await driver.acquire({ ...request, acceptRollback: true });
    assert.equal(accepted.outcome, "acquired");
  });

  define("a device that went back opens only where the program accepts it, and that is logged", async (scene) => {
    const warnings: string[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (line: string) => void warnings.push(line) };
    const store = await scene.store({ logger });
    const device = await open(store);
    await device.commit([put("a", "1")]);
    await device.close();
    const driver = await scene.driver();
    assert.equal(await driver.deleteDevice(DEVICE), "deleted");
    const error = await rejectsWith("ERR_KEY_STORE_ROLLBACK", () => store.openDevice(DEVICE, { lease: "fail" }));
    assert.match(error.message, /revision 1 was acknowledged.*acceptRollback/s);
    assert.deepEqual(await driver.listDevices(), [], "nothing was made");
    assert.deepEqual(warnings, []);
    const accepted = await open(store, DEVICE, { acceptRollback: true });
    assert.equal(accepted.revision, 0n);
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0] ?? "",
      /^Opened device JLAFKJWSCS of @bot:example.org all the same, as acceptRollback says/,
    );
    await accepted.commit([put("b", "2")]);
    await accepted.close();
    const again = await open(store);
    assert.equal(await again.count(SESSIONS), 1);
  });
}
