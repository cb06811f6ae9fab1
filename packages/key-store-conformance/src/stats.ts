import assert from "node:assert/strict";
import type { Change, CollectionUsage, KeyStore } from "@holdfast/key-store-core";
import { numbered, text } from "./bytes.ts";
import { ModelDevice } from "./model.ts";
import { DEVICE, type Define, del, open, put, SESSIONS } from "./scene.ts";

/** The usage of collections that have records: one that has none may be listed or not. */
async function collections(store: KeyStore): Promise<readonly CollectionUsage[] | undefined> {
  return (await store.stats()).usage?.collections.filter(({ records, bytes }) => records !== 0 || bytes !== 0);
}

function range(from: string, to: string, collection = SESSIONS): Change {
  return { type: "deleteRange", collection, range: { gte: text(from), lte: text(to) } };
}

const COMMITS: readonly (readonly [name: string, changes: readonly Change[]])[] = [
  ["puts", [put("a", "1"), put("b", "22"), put("", "333"), put("a", "4444", "other")]],
  ["an overwrite by a longer value", [put("a", "55555")]],
  ["an overwrite by a shorter value", [put("a", "")]],
  ["an overwrite by the same value", [put("b", "22")]],
  ["a delete", [del("b")]],
  ["a delete of what is not there", [del("b"), del("a", "never")]],
  ["more puts", [put("c", "1"), put("d", "22"), put("e", "333"), put("e", "4444")]],
  ["a range", [range("c", "d")]],
  ["a range that holds nothing", [range("x", "z"), range("a", "z", "never")]],
  ["a range, and a put inside it", [put("f", "1"), range("a", "z"), put("e", "1"), put("g", "22")]],
  ["a drop", [{ type: "dropCollection", collection: "other" }]],
  ["a drop, and a put after it", [{ type: "dropCollection", collection: SESSIONS }, put("a", "1")]],
  ["several collections at once", [put("a", "1", "other"), del("a"), put("z", "99", "third")]],
];

export function statsTests(define: Define): void {
  define("the stats tell the store, its status, its engine and its counters", async (scene) => {
    const store = await scene.store();
    const device = await open(store);
    await device.commit([put("a", "1")]);
    await device.batch(async () => {
      await device.commit([put("b", "2")]);
      await device.commit([put("c", "3")]);
    });
    await device.get(SESSIONS, text("a"));
    await device.getMany(SESSIONS, [text("a"), text("x")]);
    await device.list(SESSIONS, {}, { limit: 5 });
    await device.count(SESSIONS);
    const stats = await store.stats();
    assert.equal(stats.kind, store.kind);
    assert.equal(stats.persistence, store.persistence);
    assert.equal(stats.mode, store.mode);
    assert.equal(stats.status.state, "ready");
    assert.equal(typeof stats.engine?.version, "string");
    assert.notEqual(stats.engine?.version, "");
    assert.ok(Number.isSafeInteger(stats.engine?.schemaVersion));
    const { counters } = stats;
    assert.equal(counters.commits, 2, "durable commits");
    assert.equal(counters.reads, 4, "calls of get, getMany, list and count");
    assert.equal(counters.retries, 0);
    assert.equal(counters.lastError, undefined);
    assert.ok(counters.commitLatencyMs.p50 > 0);
    assert.ok(counters.commitLatencyMs.p99 >= counters.commitLatencyMs.p50);
  });

  define("the cache counts its hits and misses, and none where there is no cache", async (scene) => {
    const cached = await scene.store({ cacheBytes: 1 << 20 });
    const device = await open(cached);
    await device.commit([put("a", "1")]);
    await device.close();
    const again = await open(cached);
    for (let read = 0; read < 4; read++) await again.getMany(SESSIONS, [text("a"), text("absent")]);
    const { counters } = await cached.stats();
    assert.deepEqual([counters.cacheHits, counters.cacheMisses, counters.cacheHitRate], [6, 2, 0.75]);
    await again.close();

    const plain = await scene.store({ cacheBytes: 0 });
    const direct = await open(plain);
    for (let read = 0; read < 4; read++) await direct.get(SESSIONS, text("a"));
    const without = (await plain.stats()).counters;
    assert.deepEqual([without.cacheHits, without.cacheMisses, without.cacheHitRate], [0, 0, 0]);
  });

  define("usage is what is stored, after puts, overwrites, deletes, ranges and drops", async (scene) => {
    const store = await scene.store();
    const device = await open(store);
    const model = new ModelDevice();
    for (const [name, changes] of COMMITS) {
      await device.commit(changes);
      model.apply(changes);
      const expected = [...model.usage()]
        .map(([collection, usage]) => ({ collection, ...usage }))
        .sort((a, b) => Buffer.compare(text(a.collection), text(b.collection)));
      assert.deepEqual(await collections(store), expected, name);
      const [summary] = await store.listDevices();
      assert.equal(
        summary?.records,
        expected.reduce((sum, { records }) => sum + records, 0),
        `records of the device: ${name}`,
      );
      assert.equal(
        summary?.bytes,
        expected.reduce((sum, { bytes }) => sum + bytes, 0),
        `bytes of the device: ${name}`,
      );
    }
  });

  define("usage adds the devices up, and lists leases and collections", async (scene) => {
    const store = await scene.store({ label: "lessee" });
    const one = await open(store, { ...DEVICE, deviceId: "ONE" });
    const two = await open(store, { ...DEVICE, deviceId: "TWO" });
    await one.commit([put("a", "1"), put("b", "1", "\ufffd"), put("c", "1", "\u{1f511}")]);
    await two.commit([put("a", "22"), put("bb", "22", "\u{1f511}")]);
    const { usage } = await store.stats();
    assert.equal(usage?.devices, 2);
    assert.deepEqual(usage.collections, [
      { collection: SESSIONS, records: 2, bytes: 5 },
      { collection: "\ufffd", records: 1, bytes: 2 },
      { collection: "\u{1f511}", records: 2, bytes: 6 },
    ]);
    assert.deepEqual(usage.leases.map(({ userId, deviceId, holder }) => [userId, deviceId, holder.label]).sort(), [
      [DEVICE.userId, "ONE", "lessee"],
      [DEVICE.userId, "TWO", "lessee"],
    ]);
    await two.close();
    const after = (await store.stats()).usage;
    assert.equal(after?.devices, 2);
    assert.deepEqual(
      after?.leases.map(({ deviceId }) => deviceId),
      ["ONE"],
    );
  });

  define("usage is the same for another instance, and an empty store's is empty", async (scene) => {
    const empty = (await (await scene.store()).stats()).usage;
    assert.deepEqual(empty, { devices: 0, leases: [], collections: [] });
    const device = await scene.device();
    await device.commit([put("a", "1")]);
    await device.close();
    const other = await scene.store();
    assert.deepEqual((await other.stats()).usage, {
      devices: 1,
      leases: [],
      collections: [{ collection: SESSIONS, records: 1, bytes: 2 }],
    });
  });

  define("a commit that is refused leaves the usage as it was", async (scene) => {
    const old = await scene.device();
    await old.commit([put("a", "1")]);
    const store = await scene.store();
    await open(store, DEVICE, { lease: "take-over" });
    await assert.rejects(old.commit([put("a", "1234"), put("b", "5678"), put("c", "9", "other")]));
    assert.deepEqual(await collections(store), [{ collection: SESSIONS, records: 1, bytes: 2 }]);
  });

  define(
    "the stats and the list of devices are read without a scan of the records",
    async (scene) => {
      const store = await scene.store();
      const device = await open(store);
      await device.commit(Array.from({ length: 2_000 }, (_, at) => put(numbered(at), "value")));
      const before = await scene.subject.recordsRead?.(scene.place);
      for (let round = 0; round < 3; round++) {
        await store.stats();
        await store.listDevices();
      }
      const after = await scene.subject.recordsRead?.(scene.place);
      assert.ok(before !== undefined && after !== undefined);
      assert.ok(after - before < 200, `${after - before} records were read to count 2000`);
      assert.equal((await store.listDevices())[0]?.records, 2_000);
    },
    { needs: "recordsRead" },
  );
}
