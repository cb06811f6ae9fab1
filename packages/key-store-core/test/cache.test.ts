import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cacheMemory, ReadCache } from "../src/cache.ts";
import { Counters } from "../src/counters.ts";
import { Overlay } from "../src/overlay.ts";
import type { Change } from "../src/records.ts";
import { aKey, aPage, aProgram, aRange } from "./arbitraries.ts";
import { SortedRecords } from "./sorted-records.ts";

const numbered = (n: number) => Uint8Array.of(n >> 8, n & 255);
const put = (key: Uint8Array, value: Uint8Array): Change => ({ type: "put", collection: "a", key, value });

function scene(maxBytes = 1_000_000) {
  const base = new SortedRecords();
  const counters = new Counters();
  const memory = cacheMemory(maxBytes);
  if (memory === undefined) throw new Error("a cache of no bytes is no cache");
  const cache = new ReadCache(base, memory, counters);
  const commit = async (changes: readonly Change[]) => {
    const overlay = new Overlay(base);
    for (const change of changes) overlay.apply(change);
    await cache.writing(overlay.reduced(), async () => {
      for (const change of changes) base.apply(change);
    });
  };
  return { base, cache, counters, memory, commit };
}

describe("the read cache", () => {
  it("never answers otherwise than the database, whatever is committed in between", async () => {
    const step = fc.record({ changes: aProgram, keys: fc.array(aKey), range: aRange, page: aPage });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 6 }), fc.constantFrom(3_000, 1_000_000), async (steps, maxBytes) => {
        const { base, cache, commit } = scene(maxBytes);
        for (const { changes, keys, range, page } of steps) {
          await commit(changes);
          expect(await cache.list("a", range, page)).toEqual(await base.list("a", range, page));
          expect(await cache.getMany("a", keys)).toEqual(await base.getMany("a", keys));
          for (const key of keys) expect(await cache.getMany("a", [key])).toEqual(await base.getMany("a", [key]));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("answers a second read, of a present and of an absent key, without the database, and counts it", async () => {
    const { base, cache, counters, commit } = scene();
    await commit([put(numbered(1), numbered(10))]);
    base.reads = 0;
    expect(await cache.getMany("a", [numbered(1), numbered(2)])).toEqual([numbered(10), undefined]);
    expect(await cache.getMany("a", [numbered(1), numbered(2)])).toEqual([numbered(10), undefined]);
    expect(base.reads).toBe(1);
    expect(counters.snapshot()).toMatchObject({ cacheHits: 3, cacheMisses: 1, cacheHitRate: 0.75 });
  });

  it("has room for keys again after reading them has failed", async () => {
    const { base, cache, memory, commit } = scene(80_000);
    await commit(Array.from({ length: 200 }, (_, n) => put(numbered(n), numbered(n))));
    const list = base.list.bind(base);
    base.list = () => Promise.reject(new Error("the listing failed"));
    const absent = Array.from({ length: 20 }, (_, n) => numbered(1_000 + n));
    await expect(cache.getMany("a", absent)).rejects.toThrow("the listing failed");
    cache.close();
    base.list = list;
    const again = new ReadCache(base, memory, new Counters());
    await again.getMany("a", absent);
    base.reads = 0;
    expect(await again.getMany("a", [numbered(2_000)])).toEqual([undefined]);
    expect(base.reads).toBe(0);
  });

  it("keeps nothing of a read that a commit overtook", async () => {
    const { base, cache, commit } = scene();
    const late = Promise.withResolvers<void>();
    const read = base.getMany.bind(base);
    base.getMany = async (collection, keys) => {
      const old = await read(collection, keys);
      await late.promise;
      return old;
    };
    const overtaken = cache.getMany("a", [numbered(1)]);
    await commit([put(numbered(1), numbered(11))]);
    late.resolve();
    expect(await overtaken).toEqual([undefined]);
    expect(await cache.getMany("a", [numbered(1)])).toEqual([numbered(11)]);
  });

  it("keeps nothing of what a failed commit touched", async () => {
    const { base, cache, commit } = scene();
    await commit([put(numbered(1), numbered(10))]);
    const overlay = new Overlay(base);
    overlay.apply(put(numbered(1), numbered(11)));
    const failing = cache.writing(overlay.reduced(), async () => {
      throw new Error("gone");
    });
    await expect(failing).rejects.toThrow("gone");
    base.reads = 0;
    expect(await cache.getMany("a", [numbered(1)])).toEqual([numbered(10)]);
    expect(base.reads).toBe(1);
  });

  it("reads ahead after the keys of a collection were listed: 10,000 gets in order cost few reads", async () => {
    const { base, cache } = scene(10_000_000);
    const records = Array.from({ length: 10_000 }, (_, n) => ({ key: numbered(n), value: numbered(n) }));
    base.list = async (_collection, range, page) => {
      base.reads += 1;
      const from = range.gte === undefined ? 0 : Buffer.from(range.gte).readUInt16BE();
      return records.slice(from, from + page.limit);
    };
    base.getMany = async () => {
      throw new Error("a key was read by itself");
    };
    const keys = await cache.list("a", {}, { limit: 10_000, keysOnly: true });
    base.reads = 0;
    for (const { key } of keys) expect(await cache.getMany("a", [key])).toEqual([key]);
    expect(base.reads).toBeLessThan(50);
  });

  it("asks for all keys once, after many were not there, and then no more for what is not", async () => {
    const { base, cache, commit } = scene();
    await commit([put(numbered(1), numbered(10))]);
    for (let n = 100; n < 116; n += 1) await cache.getMany("a", [numbered(n)]);
    base.reads = 0;
    for (let n = 200; n < 1_000; n += 1) expect(await cache.getMany("a", [numbered(n)])).toEqual([undefined]);
    expect(base.reads).toBe(0);
    await commit([put(numbered(500), numbered(5))]);
    await commit([{ type: "delete", collection: "a", key: numbered(500) }]);
    expect(await cache.getMany("a", [numbered(500), numbered(501)])).toEqual([undefined, undefined]);
    await commit([{ type: "dropCollection", collection: "a" }, put(numbered(501), numbered(6))]);
    expect(await cache.getMany("a", [numbered(500), numbered(501)])).toEqual([undefined, numbered(6)]);
  });

  it("does not learn keys that it has no room for, and gives room back when it is closed", async () => {
    const { base, cache, commit, memory } = scene(40_000);
    await commit(Array.from({ length: 1_000 }, (_, n) => put(numbered(n), numbered(n))));
    for (let n = 2_000; n < 2_020; n += 1) await cache.getMany("a", [numbered(n)]);
    base.reads = 0;
    await cache.getMany("a", [numbered(3_000)]);
    expect(base.reads).toBe(1);
    await commit([{ type: "dropCollection", collection: "a" }]);
    for (let n = 4_000; n < 4_020; n += 1) await cache.getMany("b", [numbered(n)]);
    await commit([{ type: "put", collection: "b", key: numbered(1), value: numbered(1) }]);
    expect(memory.keys.take(10_000)).toBe(false);
    cache.close();
    expect(memory.keys.take(10_000)).toBe(true);
  });

  it("keeps a small listing until its collection is written to", async () => {
    const { base, cache, commit } = scene();
    await commit([put(numbered(1), numbered(10))]);
    const range = { gte: numbered(0), lt: numbered(9) };
    await cache.list("a", range, { limit: 5 });
    base.reads = 0;
    expect(await cache.list("a", range, { limit: 5 })).toEqual([{ key: numbered(1), value: numbered(10) }]);
    await commit([{ type: "put", collection: "b", key: numbered(2), value: numbered(2) }]);
    await cache.list("a", range, { limit: 5 });
    expect(base.reads).toBe(0);
    await commit([put(numbered(2), numbered(20))]);
    expect(await cache.list("a", range, { limit: 5 })).toHaveLength(2);
    expect(base.reads).toBe(1);
  });

  it("keeps nothing of a walk over many pages", async () => {
    const { cache, commit, memory } = scene();
    await commit(Array.from({ length: 100 }, (_, n) => put(numbered(n), numbered(n))));
    memory.entries.clear();
    await cache.list("a", {}, { limit: 50 });
    await cache.list("a", { gt: numbered(49) }, { limit: 50 });
    expect(memory.entries.size).toBe(0);
  });

  it("keeps nothing of a collection that a commit wrote much of", async () => {
    const { base, cache, commit } = scene();
    await commit([
      put(numbered(1), numbered(10)),
      { type: "put", collection: "b", key: numbered(1), value: numbered(2) },
    ]);
    await commit(Array.from({ length: 1_025 }, (_, n) => put(numbered(n), numbered(n + 1))));
    base.reads = 0;
    expect(await cache.getMany("a", [numbered(1)])).toEqual([numbered(2)]);
    expect(await cache.getMany("b", [numbered(1)])).toEqual([numbered(2)]);
    expect(base.reads).toBe(1);
  });

  it("stays within its memory", async () => {
    const { cache, commit, memory } = scene(100_000);
    await commit(Array.from({ length: 1_000 }, (_, n) => put(numbered(n), new Uint8Array(1_000))));
    await cache.getMany("a", [numbered(1)]);
    expect(memory.entries.calculatedSize).toBeLessThanOrEqual(75_000);
    expect(memory.entries.size).toBeGreaterThan(50);
  });
});
