import assert from "node:assert/strict";
import type { Change } from "@holdfast/key-store-core";
import { numbered, patterned, sameBytes, text, toHex } from "./bytes.ts";
import { rejectsWith } from "./expect.ts";
import { DEVICE, type Define, del, open, put, SESSIONS } from "./scene.ts";

const MIB = 1 << 20;
const SLOW = { timeoutMs: 180_000 } as const;

export function sizeTests(define: Define): void {
  define(
    "ten thousand changes are one commit",
    async (scene) => {
      const store = await scene.store();
      const device = await open(store);
      await device.commit(Array.from({ length: 10_000 }, (_, at) => put(numbered(at), numbered(at * 3))));
      assert.equal(device.revision, 1n);
      assert.equal(await device.count(SESSIONS), 10_000);
      const mixed: Change[] = [];
      for (let at = 0; at < 10_000; at++) mixed.push(at % 2 === 0 ? del(numbered(at)) : put(numbered(at), "odd"));
      await device.commit(mixed);
      assert.equal(device.revision, 2n);
      await device.close();
      const again = await scene.device();
      assert.equal(again.revision, 2n);
      assert.equal(await again.count(SESSIONS), 5_000);
      assert.equal(await again.get(SESSIONS, numbered(9_998)), undefined);
      assert.equal(toHex(await again.get(SESSIONS, numbered(9_999))), toHex(text("odd")));
      const listed = await again.list(SESSIONS, { gte: numbered(5_000) }, { limit: 10_000 });
      assert.equal(listed.length, 2_500);
      assert.equal(toHex(listed[0]?.key), toHex(numbered(5_001)));
      const usage = (await store.stats()).usage?.collections;
      assert.deepEqual(usage, [{ collection: SESSIONS, records: 5_000, bytes: 5_000 * 7 }]);
    },
    SLOW,
  );

  define(
    "a thousand collections in one commit",
    async (scene) => {
      const device = await scene.device();
      await device.commit(Array.from({ length: 1_000 }, (_, at) => put("k", numbered(at), `collection ${at}`)));
      await device.close();
      const again = await scene.device();
      assert.equal(again.revision, 1n);
      assert.equal(toHex(await again.get("collection 999", text("k"))), toHex(numbered(999)));
      assert.equal(await again.count("collection 0"), 1);
    },
    SLOW,
  );

  define(
    "a commit of 64 MiB is one commit",
    async (scene) => {
      const store = await scene.store();
      const device = await open(store);
      await device.commit([put("old", "1"), put(numbered(3), "to be overwritten")]);
      const changes: Change[] = Array.from({ length: 64 }, (_, at) => put(numbered(at), patterned(MIB, at)));
      await device.commit([...changes, del("old")]);
      assert.equal(device.revision, 2n);
      await device.close();
      const again = await scene.device();
      assert.equal(again.revision, 2n);
      assert.equal(await again.count(SESSIONS), 64);
      for (const at of [0, 3, 31, 63]) {
        assert.ok(sameBytes(await again.get(SESSIONS, numbered(at)), patterned(MIB, at)), `value ${at}`);
      }
      const usage = (await store.stats()).usage?.collections;
      assert.deepEqual(usage, [{ collection: SESSIONS, records: 64, bytes: 64 * (MIB + 4) }]);
    },
    SLOW,
  );

  define(
    "a batch of 64 MiB by small commits is one commit",
    async (scene) => {
      const device = await scene.device();
      await device.batch(async () => {
        for (let at = 0; at < 1_024; at++) await device.commit([put(numbered(at), patterned(64 * 1024, at))]);
        assert.equal(await device.count(SESSIONS), 1_024);
      });
      assert.equal(device.revision, 1n);
      await device.close();
      const again = await scene.device();
      assert.equal(await again.count(SESSIONS), 1_024);
      for (const at of [0, 511, 1_023]) {
        assert.ok(sameBytes(await again.get(SESSIONS, numbered(at)), patterned(64 * 1024, at)), `value ${at}`);
      }
    },
    SLOW,
  );

  define(
    "a large commit of a writer that was taken over leaves nothing behind",
    async (scene) => {
      const old = await scene.device();
      const store = await scene.store();
      const device = await open(store, DEVICE, { lease: "take-over" });
      const changes: Change[] = Array.from({ length: 16 }, (_, at) => put(numbered(at), patterned(MIB, at)));
      await rejectsWith("ERR_KEY_STORE_FENCED", () => old.commit(changes));
      assert.equal(await device.count(SESSIONS), 0);
      assert.equal(device.revision, 0n);
      await device.commit([put("a", "1")]);
      assert.equal(await device.count(SESSIONS), 1);
    },
    SLOW,
  );

  define(
    "a value of 16 MiB comes back as it was",
    async (scene) => {
      const device = await scene.device();
      const value = patterned(16 * MIB, 7);
      await device.commit([put("large", value)]);
      await device.close();
      assert.ok(sameBytes(await (await scene.device()).get(SESSIONS, text("large")), value));
    },
    SLOW,
  );

  define(
    "a range of ten thousand records is deleted in one commit",
    async (scene) => {
      const device = await scene.device();
      await device.commit(Array.from({ length: 10_000 }, (_, at) => put(numbered(at), "v")));
      await device.commit([
        { type: "deleteRange", collection: SESSIONS, range: { gt: numbered(0), lt: numbered(9_999) } },
        put(numbered(5_000), "kept"),
      ]);
      await device.close();
      const again = await scene.device();
      assert.equal(await again.count(SESSIONS), 3);
      assert.equal(toHex(await again.get(SESSIONS, numbered(5_000))), toHex(text("kept")));
    },
    SLOW,
  );
}
