import assert from "node:assert/strict";
import type { HighWaterMark, RollbackWitness } from "@holdfast/key-store-core";
import { rejectsWith } from "./expect.ts";
import { LIMITS, silence } from "./faulty-driver.ts";
import { DEVICE, type Define, open, put, puts, SESSIONS } from "./scene.ts";

/** A witness that remembers one device, in memory. */
class Witness implements RollbackWitness {
  mark: HighWaterMark | undefined;

  async recall(): Promise<HighWaterMark | undefined> {
    return this.mark;
  }

  async remember(_storeId: string, _device: unknown, mark: HighWaterMark | undefined): Promise<void> {
    this.mark = mark;
  }
}

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
    assert.match(error.message, /is gone, but revision 1 \(epoch 1\) was acknowledged.*acceptRollback/s);
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

  define("a process that was taken over does not set the witness back", async (scene) => {
    const witness = new Witness();
    const old = await scene.device({ witness });
    await old.commit([put("a", "1")]);
    const device = await open(await scene.store({ witness }), DEVICE, { lease: "take-over" });
    await device.commit([put("a", "2")]);
    await device.commit([put("a", "3")]);
    await device.close();
    assert.deepEqual(witness.mark, { epoch: 2n, revision: 3n });
    await old.close();
    assert.deepEqual(witness.mark, { epoch: 2n, revision: 3n });
  });

  define("an answer that comes after the device was taken over lowers nothing that is known of it", async (scene) => {
    const { driver, store, device: old } = await scene.faultyDevice();
    const late = Promise.withResolvers<void>();
    const applied = Promise.withResolvers<void>();
    driver.next("commit", async (attempt) => {
      const answer = await attempt();
      applied.resolve();
      await late.promise;
      return answer;
    });
    const commit = old.commit([put("a", "1")]);
    await applied.promise;
    const device = await open(store, DEVICE, { lease: "take-over" });
    await device.commit([put("a", "2")]);
    await device.close();
    late.resolve();
    await commit;
    assert.equal(await (await scene.driver()).deleteDevice(DEVICE), "deleted");
    const error = await rejectsWith("ERR_KEY_STORE_ROLLBACK", () => store.openDevice(DEVICE));
    assert.match(error.message, /revision 2 \(epoch 2\) was acknowledged/);
  });

  define("only a device that is opened with acceptRollback, or deleted, sets the witness back", async (scene) => {
    const witness = new Witness();
    witness.mark = { epoch: 7n, revision: 9n };
    const store = await scene.store({ witness });
    await rejectsWith("ERR_KEY_STORE_ROLLBACK", () => store.openDevice(DEVICE));
    assert.deepEqual(witness.mark, { epoch: 7n, revision: 9n });
    const device = await open(store, DEVICE, { acceptRollback: true });
    assert.deepEqual(witness.mark, { epoch: 1n, revision: 0n });
    await device.close();
    assert.equal(await store.deleteDevice(DEVICE), true);
    assert.equal(witness.mark, undefined);
  });

  define(
    "a witness that says nothing or throws is an error of an opening, and a warning of a commit",
    async (scene) => {
      const warnings: string[] = [];
      const logger = { debug() {}, info() {}, error() {}, warn: (line: string) => void warnings.push(line) };
      const witness = new Witness();
      const store = await scene.store({ ...LIMITS, witness, logger });
      const boom = new RangeError("boom");
      witness.recall = silence;
      const silent = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => store.openDevice(DEVICE));
      assert.equal(silent.message, "the witness of rollbacks had no answer within 1000 ms");
      witness.recall = () => {
        throw boom;
      };
      const thrown = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => store.openDevice(DEVICE));
      assert.deepEqual([thrown.message, thrown.cause], ["the witness of rollbacks could not be asked: boom", boom]);
      assert.deepEqual(await store.listDevices(), [], "nothing was made");
      witness.recall = async () => undefined;
      witness.remember = silence;
      const device = await open(store);
      await device.commit([put("a", "1")]);
      witness.remember = async () => {
        throw boom;
      };
      await store.close();
      assert.deepEqual(warnings, [
        "The witness of rollbacks could not be told: the witness of rollbacks had no answer within 1000 ms",
        "The witness of rollbacks could not be told: boom",
      ]);
    },
  );
}
