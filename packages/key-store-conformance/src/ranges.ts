import assert from "node:assert/strict";
import type { DeviceStore } from "@holdfast/key-store-core";
import { type KeyRange, MAX_KEY_BYTES, type StoredRecord } from "@holdfast/key-store-core";
import fc from "fast-check";
import { hex, numbered, text, toHex } from "./bytes.ts";
import { keysOf } from "./expect.ts";
import { modelRange, programParts } from "./model.ts";
import { type Define, put, SESSIONS } from "./scene.ts";

const KEYS = ["61", "62", "63", "64"];

const TABLE: readonly (readonly [name: string, range: KeyRange, keys: readonly string[]])[] = [
  ["no bounds", {}, KEYS],
  ["gte", { gte: hex("62") }, ["62", "63", "64"]],
  ["gt", { gt: hex("62") }, ["63", "64"]],
  ["lte", { lte: hex("63") }, ["61", "62", "63"]],
  ["lt", { lt: hex("63") }, ["61", "62"]],
  ["closed", { gte: hex("62"), lte: hex("63") }, ["62", "63"]],
  ["open", { gt: hex("61"), lt: hex("64") }, ["62", "63"]],
  ["half open on the right", { gte: hex("61"), lt: hex("63") }, ["61", "62"]],
  ["half open on the left", { gt: hex("61"), lte: hex("63") }, ["62", "63"]],
  ["one key", { gte: hex("62"), lte: hex("62") }, ["62"]],
  ["bounds between the keys", { gt: hex("6100"), lt: hex("63ff") }, ["62", "63"]],
  ["the lower bound is a prefix of a key", { gt: hex("") }, KEYS],
  ["nothing: gte and lt the same", { gte: hex("62"), lt: hex("62") }, []],
  ["nothing: gt and lte the same", { gt: hex("62"), lte: hex("62") }, []],
  ["nothing: gt and lt the same", { gt: hex("62"), lt: hex("62") }, []],
  ["nothing: gt and lt next to each other", { gt: hex("62"), lt: hex("6200") }, []],
  ["nothing: the wrong way round", { gte: hex("64"), lte: hex("61") }, []],
  ["nothing: below all", { lt: hex("61") }, []],
  ["nothing: above all", { gt: hex("64") }, []],
  ["bounds longer than any key", { gt: new Uint8Array(MAX_KEY_BYTES + 9).fill(0x62) }, ["63", "64"]],
  ["bounds given as undefined", { gt: undefined, gte: hex("63"), lt: undefined, lte: undefined }, ["63", "64"]],
];

async function fourKeys(device: DeviceStore): Promise<void> {
  await device.commit(KEYS.map((key) => put(hex(key), key)));
}

/** More records than any test here walks over. */
const MOST_WALKED = 1_000;

/** Walks a range in pages, from where the last page ended. */
async function walk(device: DeviceStore, range: KeyRange, limit: number, reverse: boolean): Promise<StoredRecord[]> {
  const all: StoredRecord[] = [];
  let rest = range;
  for (;;) {
    const page = await device.list(SESSIONS, rest, { limit, reverse });
    assert.ok(page.length <= limit, `a page has at most ${limit} records, not ${page.length}`);
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined) return all;
    // A store that goes round in circles has to fail, not to keep the suite busy for ever.
    assert.ok(all.length <= MOST_WALKED, "paging comes to an end");
    if (reverse) {
      const { lte: _, ...others } = rest;
      rest = { ...others, lt: last.key };
    } else {
      const { gte: _, ...others } = rest;
      rest = { ...others, gt: last.key };
    }
  }
}

export function rangeTests(define: Define): void {
  define("ranges open and closed on either end hold what they say", async (scene) => {
    const device = await scene.device();
    await fourKeys(device);
    for (const [name, range, keys] of TABLE) {
      assert.deepEqual(keysOf(await device.list(SESSIONS, range, { limit: 10 })), keys, name);
      assert.equal(await device.count(SESSIONS, range), keys.length, `count: ${name}`);
    }
  });

  define("in reverse a range is the same, from its end", async (scene) => {
    const device = await scene.device();
    await fourKeys(device);
    for (const [name, range, keys] of TABLE) {
      const down = await device.list(SESSIONS, range, { limit: 10, reverse: true });
      assert.deepEqual(keysOf(down), [...keys].reverse(), name);
    }
  });

  define("a limit takes the first records of a range, or the last ones in reverse", async (scene) => {
    const device = await scene.device();
    await fourKeys(device);
    for (let limit = 1; limit <= 5; limit++) {
      assert.deepEqual(keysOf(await device.list(SESSIONS, {}, { limit })), KEYS.slice(0, limit), `first ${limit}`);
      const down = await device.list(SESSIONS, {}, { limit, reverse: true });
      assert.deepEqual(keysOf(down), KEYS.toReversed().slice(0, limit), `last ${limit}`);
    }
    const most = { limit: Number.MAX_SAFE_INTEGER };
    assert.deepEqual(keysOf(await device.list(SESSIONS, {}, most)), KEYS);
  });

  define("deleteRange removes what its range holds, and nothing beside it", async (scene) => {
    const device = await scene.device();
    for (const [name, range, keys] of TABLE) {
      await fourKeys(device);
      await device.commit([{ type: "deleteRange", collection: SESSIONS, range }]);
      const left = KEYS.filter((key) => !keys.includes(key));
      assert.deepEqual(keysOf(await device.list(SESSIONS, {}, { limit: 10 })), left, name);
      assert.equal(await device.count(SESSIONS), left.length, name);
    }
  });

  define("paging walks every record once, forwards and backwards", async (scene) => {
    const device = await scene.device();
    const keys = Array.from({ length: 53 }, (_, at) => numbered(at * 7));
    await device.commit(keys.map((key) => put(key, key)));
    const expected = keys.map((key) => toHex(key));
    for (const limit of [1, 2, 7, 53, 54]) {
      assert.deepEqual(keysOf(await walk(device, {}, limit, false)), expected, `forwards by ${limit}`);
      assert.deepEqual(keysOf(await walk(device, {}, limit, true)), expected.toReversed(), `backwards by ${limit}`);
    }
    const inside = { gte: numbered(14), lte: numbered(70) };
    assert.deepEqual(keysOf(await walk(device, inside, 3, false)), expected.slice(2, 11));
    assert.deepEqual(keysOf(await walk(device, inside, 3, true)), expected.slice(2, 11).reverse());
  });

  define("a collection that nothing was put into is empty", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1", "another")]);
    assert.deepEqual(await device.list(SESSIONS, {}, { limit: 10 }), []);
    assert.equal(await device.count(SESSIONS), 0);
    await device.commit([
      { type: "deleteRange", collection: SESSIONS, range: {} },
      { type: "dropCollection", collection: SESSIONS },
      { type: "delete", collection: SESSIONS, key: text("a") },
    ]);
    assert.equal(await device.count(SESSIONS), 0);
    assert.equal(await device.count("another"), 1);
  });

  define("arbitrary ranges, limits and directions hold what a sorted list says", async (scene) => {
    const device = await scene.device();
    const { key, range, page } = programParts;
    const keys = fc.uniqueArray(key, { minLength: 1, maxLength: 25, selector: (bytes) => toHex(bytes) });
    await fc.assert(
      fc.asyncProperty(keys, fc.array(fc.tuple(range, page), { maxLength: 12 }), async (stored, asked) => {
        const records = stored.map((bytes) => ({ key: bytes, value: bytes }));
        await device.commit([
          { type: "dropCollection", collection: SESSIONS },
          ...records.map(({ key, value }) => put(key, value)),
        ]);
        for (const [within, how] of asked) {
          const expected = modelRange(records, within, how);
          assert.deepEqual(keysOf(await device.list(SESSIONS, within, how)), keysOf(expected));
          const all = modelRange(records, within, { limit: Number.MAX_SAFE_INTEGER });
          assert.equal(await device.count(SESSIONS, within), all.length);
        }
      }),
      { numRuns: 30 },
    );
  });
}
