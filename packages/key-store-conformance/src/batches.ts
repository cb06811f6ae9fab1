import assert from "node:assert/strict";
import type { Change, DeviceStore } from "@holdfast/key-store-core";
import { numbered, text, toHex } from "./bytes.ts";
import { hexes, keysOf, rejection, rejectsWith } from "./expect.ts";
import { gate } from "./faulty-driver.ts";
import { DEVICE, type Define, del, open, put, SESSIONS } from "./scene.ts";

async function value(device: DeviceStore, key: string): Promise<string | undefined> {
  return toHex(await device.get(SESSIONS, text(key)));
}

/** Puts, deletes and a range among sixty keys, to arrive while a read is under way. */
function overtaking(keys: readonly Uint8Array[]): Change[] {
  return [
    ...keys.filter((_, at) => at % 3 === 2).map((key) => put(key, "newer")),
    ...keys.filter((_, at) => at % 3 === 1).map((key) => del(key)),
    { type: "deleteRange", collection: SESSIONS, range: { gte: numbered(30) } },
  ];
}

export function batchTests(define: Define): void {
  define("a batch is one revision, and answers as its work does", async (scene) => {
    const device = await scene.device();
    const answer = await device.batch(async () => {
      for (let at = 0; at < 5; at++) await device.commit([put(`key ${at}`, `${at}`)]);
      assert.equal(device.revision, 0n, "nothing is durable yet");
      return "done";
    });
    assert.equal(answer, "done");
    assert.equal(device.revision, 1n);
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 1n);
    assert.equal(await again.count(SESSIONS), 5);
  });

  define("reads, lists and counts inside a batch see what was committed in it", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")]);
    await device.batch(async () => {
      await device.commit([put("b", "2"), del("c"), put("bb", "2")]);
      assert.deepEqual(hexes(await device.getMany(SESSIONS, ["a", "b", "bb", "c", "x"].map(text))), [
        "31",
        "32",
        "32",
        undefined,
        undefined,
      ]);
      assert.deepEqual(keysOf(await device.list(SESSIONS, {}, { limit: 9 })), ["61", "62", "6262", "64"]);
      assert.deepEqual(keysOf(await device.list(SESSIONS, {}, { limit: 2 })), ["61", "62"]);
      const down = await device.list(SESSIONS, { lt: text("d") }, { limit: 2, reverse: true });
      assert.deepEqual(keysOf(down), ["6262", "62"]);
      assert.equal(await device.count(SESSIONS), 4);
      assert.equal(await device.count(SESSIONS, { gt: text("b"), lte: text("c") }), 1);
      await device.commit([{ type: "deleteRange", collection: SESSIONS, range: { gte: text("b") } }, put("c", "3")]);
      assert.deepEqual(keysOf(await device.list(SESSIONS, {}, { limit: 9 })), ["61", "63"]);
      assert.equal(await device.count(SESSIONS), 2);
      await device.commit([{ type: "dropCollection", collection: SESSIONS }]);
      assert.equal(await device.count(SESSIONS), 0);
      assert.equal(await value(device, "a"), undefined);
      await device.commit([put("e", "4")]);
    });
    assert.deepEqual(keysOf(await device.list(SESSIONS, {}, { limit: 9 })), ["65"]);
    assert.equal(device.revision, 2n);
  });

  define("nothing of a batch is in the database before it ends", async (scene) => {
    const device = await scene.device();
    const other = await scene.store();
    await device.batch(async () => {
      await device.commit([put("a", "1")]);
      const [summary] = await other.listDevices();
      assert.equal(summary?.revision, 0n);
      assert.equal(summary?.records, 0);
    });
    const [summary] = await other.listDevices();
    assert.equal(summary?.revision, 1n);
    assert.equal(summary?.records, 1);
  });

  define("a batch that commits nothing moves nothing", async (scene) => {
    const device = await scene.device();
    assert.equal(await device.batch(async () => 7), 7);
    await device.batch(async () => device.commit([]));
    await device.batch(async () => void (await device.get(SESSIONS, text("a"))));
    const reason = new Error("nothing written");
    assert.equal(await rejection(() => device.batch(() => Promise.reject(reason))), reason);
    assert.equal(device.revision, 0n);
    await device.close();
    assert.equal((await scene.device()).revision, 0n);
  });

  define("a batch inside a batch is refused, and the outer one goes on", async (scene) => {
    const device = await scene.device();
    await device.batch(async () => {
      await device.commit([put("a", "1")]);
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => device.batch(async () => "inner"));
      await Promise.resolve();
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => device.batch(async () => "inner"));
      await device.commit([put("b", "2")]);
    });
    assert.equal(device.revision, 1n);
    assert.equal(await device.count(SESSIONS), 2);
    await device.batch(() => device.commit([put("c", "3")]));
    assert.equal(device.revision, 2n);
  });

  define(
    "a batch in the batch of another device that is in one of its own is refused, and so is closing",
    async (scene) => {
      const [store, other] = [await scene.store(), await scene.store()];
      const one = await open(store, { ...DEVICE, deviceId: "ONE" });
      const two = await open(other, { ...DEVICE, deviceId: "TWO" });
      await one.batch(() =>
        two.batch(async () => {
          await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => one.batch(async () => "inner"));
          await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => one.close());
          await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => store.close());
          await one.commit([put("a", "1")]);
          await two.commit([put("b", "2")]);
        }),
      );
      assert.deepEqual([one.revision, two.revision], [1n, 1n]);
    },
    { timeoutMs: 5_000 },
  );

  define("batches begun at once run one after another, in their order", async (scene) => {
    const device = await scene.device();
    const events: string[] = [];
    const batch = (name: string) =>
      device.batch(async () => {
        events.push(`${name} begins at ${device.revision}`);
        await device.commit([put(name, name)]);
        await device.get(SESSIONS, text("anything"));
        events.push(`${name} ends`);
      });
    await Promise.all([batch("a"), batch("b"), batch("c")]);
    assert.deepEqual(events, ["a begins at 0", "a ends", "b begins at 1", "b ends", "c begins at 2", "c ends"]);
    assert.equal(device.revision, 3n);
  });

  define("commits made by others during a batch join it", async (scene) => {
    const device = await scene.device();
    const begun = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const batch = device.batch(async () => {
      begun.resolve();
      await device.commit([put("a", "inside")]);
      await finish.promise;
    });
    await begun.promise;
    await device.commit([put("b", "outside")]);
    assert.equal(device.revision, 0n, "it resolves as soon as the batch has it");
    assert.equal(await value(device, "b"), toHex(text("outside")), "others see it");
    finish.resolve();
    await batch;
    assert.equal(device.revision, 1n);
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 1n);
    assert.equal(await again.count(SESSIONS), 2);
  });

  define(
    "a batch may wait for a commit that was made while the batch waited its turn",
    async (scene) => {
      const { driver, device } = await scene.faultyDevice();
      const held = gate();
      driver.next("commit", held.fault);
      const first = device.commit([put("a", "1")]);
      await held.reached;
      const made = Promise.withResolvers<void>();
      const batch = device.batch(async () => {
        await made.promise;
        await device.commit([put("c", "3")]);
      });
      // The batch is in the queue, however many turns of the microtasks that takes.
      await new Promise((resolve) => setImmediate(resolve));
      device.commit([put("b", "2")]).then(made.resolve, made.reject);
      held.open();
      await Promise.all([first, batch]);
      await device.close();
      assert.equal(await (await scene.device()).count(SESSIONS), 3);
    },
    { timeoutMs: 3_000 },
  );

  define("a listing that a commit into the batch overtakes is still in order, and a state that was", async (scene) => {
    const device = await scene.device();
    const keys = Array.from({ length: 60 }, (_, at) => numbered(at));
    await device.commit(keys.filter((_, at) => at % 3 === 0).map((key) => put(key, "old")));
    await device.batch(async () => {
      await device.commit(keys.filter((_, at) => at % 3 === 1).map((key) => put(key, "new")));
      const before = keysOf(await device.list(SESSIONS, {}, { limit: 100 }));
      const listing = device.list(SESSIONS, {}, { limit: 100 });
      await device.commit(overtaking(keys));
      const after = keysOf(await device.list(SESSIONS, {}, { limit: 100 }));
      const listed = keysOf(await listing);
      assert.deepEqual(listed, listed.length === before.length ? before : after);
    });
  });

  define("reads that meet the end of a batch see it as one: before it, or after", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    const durable = gate();
    driver.next("commit", durable.fault);
    const batch = device.batch(() => device.commit([put("a", "1")]));
    await durable.reached;
    const reads = Promise.all([device.count(SESSIONS), device.get(SESSIONS, text("a"))]);
    durable.open();
    await batch;
    const [count, found] = await reads;
    assert.deepEqual([count, toHex(found)], [1, "31"]);
  });

  define("a commit made while a batch is ending comes after it, and before the batch that follows", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    const read = gate();
    driver.next("getMany", read.fault);
    let reading: Promise<unknown> | undefined;
    const ending = device.batch(async () => {
      reading = device.get("other", text("nobody waits for it"));
      await device.commit([put("a", "ending")]);
    });
    await read.reached;
    // The work has settled, however many turns of the microtasks that takes, and the read has not.
    await new Promise((resolve) => setImmediate(resolve));
    const later = device.commit([put("a", "later"), put("b", "later")]);
    const next = device.batch(() => device.commit([put("b", "next")]));
    read.open();
    await Promise.all([reading, ending, later, next]);
    const expected = ["later", "next"].map((one) => toHex(text(one)));
    assert.deepEqual(hexes(await device.getMany(SESSIONS, [text("a"), text("b")])), expected);
    assert.equal(device.revision, 3n);
    await device.close();
    const again = await scene.device();
    assert.deepEqual(hexes(await again.getMany(SESSIONS, [text("a"), text("b")])), expected);
  });

  define("a count that a commit into the batch overtakes is one that was", async (scene) => {
    const device = await scene.device();
    const keys = Array.from({ length: 60 }, (_, at) => numbered(at));
    await device.commit(keys.filter((_, at) => at % 3 === 0).map((key) => put(key, "old")));
    await device.batch(async () => {
      await device.commit(keys.filter((_, at) => at % 3 === 1).map((key) => put(key, "new")));
      const before = await device.count(SESSIONS);
      const counting = device.count(SESSIONS);
      await device.commit(overtaking(keys));
      const after = await device.count(SESSIONS);
      const counted = await counting;
      assert.ok([before, after].includes(counted), `${counted} is neither ${before} nor ${after}`);
    });
  });

  define("a commit after a batch is a commit of its own", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    await device.batch(() => device.commit([put("a", "1")]));
    await device.commit([put("b", "2")]);
    assert.equal(device.revision, 2n);
    assert.equal(driver.calls("commit"), 2);
  });
}
