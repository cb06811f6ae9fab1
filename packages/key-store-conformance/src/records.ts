import assert from "node:assert/strict";
import { compareBytes, MAX_COLLECTION_NAME_BYTES, MAX_KEY_BYTES } from "@holdfast/key-store-core";
import fc from "fast-check";
import { hex, numbered, patterned, sameBytes, text, toHex } from "./bytes.ts";
import { hexes, keysOf, pairs } from "./expect.ts";
import { type Define, del, put, SESSIONS } from "./scene.ts";

const ORDERED = ["", "00", "0000", "0001", "01", "61", "6161", "7f", "7fff", "80", "8000", "c3a9", "fe", "ff", "ffff"];

export function recordTests(define: Define): void {
  define("what was put is got, by this store and by the next", async (scene) => {
    const device = await scene.device();
    assert.equal(await device.get(SESSIONS, text("a")), undefined);
    await device.commit([put("a", "1"), put("b", "2")]);
    assert.equal(toHex(await device.get(SESSIONS, text("a"))), toHex(text("1")));
    await device.commit([put("a", "3"), del("b")]);
    assert.equal(toHex(await device.get(SESSIONS, text("a"))), toHex(text("3")));
    assert.equal(await device.get(SESSIONS, text("b")), undefined);
    await device.close();
    const again = await scene.device();
    assert.equal(toHex(await again.get(SESSIONS, text("a"))), toHex(text("3")));
    assert.equal(await again.get(SESSIONS, text("b")), undefined);
  });

  define("getMany answers in the order of its keys, with repeats and gaps", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1"), put("b", ""), put("c", "3")]);
    await device.close();
    const again = await scene.device();
    const found = await again.getMany(SESSIONS, [text("c"), text("x"), text("a"), text("c"), text("b"), hex("")]);
    assert.deepEqual(hexes(found), ["33", undefined, "31", "33", "", undefined]);
    assert.deepEqual(await again.getMany(SESSIONS, []), []);
    assert.deepEqual(await again.getMany("nothing was put here", [text("a")]), [undefined]);
  });

  define("getMany answers for ten thousand keys at once", async (scene) => {
    const device = await scene.device();
    await device.commit(Array.from({ length: 1_000 }, (_, at) => put(numbered(at * 10), numbered(at))));
    await device.close();
    const again = await scene.device();
    const found = await again.getMany(
      SESSIONS,
      Array.from({ length: 10_000 }, (_, at) => numbered(at)),
    );
    assert.equal(found.length, 10_000);
    assert.equal(found.filter((value) => value !== undefined).length, 1_000);
    assert.equal(toHex(found[9_990]), toHex(numbered(999)));
  });

  define("an empty value is a value", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", new Uint8Array(0))]);
    await device.close();
    const again = await scene.device();
    const value = await again.get(SESSIONS, text("a"));
    assert.ok(value instanceof Uint8Array);
    assert.equal(value.byteLength, 0);
    assert.equal(await again.count(SESSIONS), 1);
  });

  define("the empty key is a key, and the first of all", async (scene) => {
    const device = await scene.device();
    await device.commit([put(hex("00"), "second"), put(hex(""), "first")]);
    await device.close();
    const again = await scene.device();
    assert.equal(toHex(await again.get(SESSIONS, hex(""))), toHex(text("first")));
    assert.deepEqual(keysOf(await again.list(SESSIONS, {}, { limit: 10 })), ["", "00"]);
    assert.deepEqual(keysOf(await again.list(SESSIONS, { gt: hex("") }, { limit: 10 })), ["00"]);
    assert.deepEqual(keysOf(await again.list(SESSIONS, { lte: hex("") }, { limit: 10 })), [""]);
    assert.deepEqual(keysOf(await again.list(SESSIONS, { lt: hex("") }, { limit: 10 })), []);
    await again.commit([del(hex(""))]);
    assert.deepEqual(keysOf(await again.list(SESSIONS, {}, { limit: 10 })), ["00"]);
  });

  define("keys of the greatest length are kept whole and told apart by their last byte", async (scene) => {
    const device = await scene.device();
    const keys = [0, 1, 255].map((last) => {
      const key = new Uint8Array(MAX_KEY_BYTES).fill(0xff);
      key[MAX_KEY_BYTES - 1] = last;
      return key;
    });
    await device.commit(keys.map((key, at) => put(key, `${at}`)));
    await device.close();
    const again = await scene.device();
    assert.deepEqual(hexes(await again.getMany(SESSIONS, keys)), ["30", "31", "32"]);
    const all = keys.map((key) => toHex(key));
    assert.deepEqual(keysOf(await again.list(SESSIONS, {}, { limit: 9 })), all);
    const [first, second, third] = keys as [Uint8Array, Uint8Array, Uint8Array];
    assert.deepEqual(keysOf(await again.list(SESSIONS, { gt: first, lte: third }, { limit: 9 })), all.slice(1));
    assert.deepEqual(keysOf(await again.list(SESSIONS, { gte: first, lt: third }, { limit: 9 })), all.slice(0, 2));
    assert.equal(await again.count(SESSIONS, { gt: third }), 0);
    await again.commit([{ type: "deleteRange", collection: SESSIONS, range: { gte: second, lte: second } }]);
    assert.deepEqual(keysOf(await again.list(SESSIONS, {}, { limit: 9 })), [all[0], all[2]]);
  });

  define("a key that begins like another is another key", async (scene) => {
    const device = await scene.device();
    const keys = ["61", "6100", "610000", "6161"].map(hex);
    await device.commit(keys.map((key, at) => put(key, `${at}`)));
    await device.close();
    const again = await scene.device();
    assert.deepEqual(hexes(await again.getMany(SESSIONS, keys)), ["30", "31", "32", "33"]);
    await again.commit([del(hex("6100"))]);
    await again.close();
    const last = await scene.device();
    assert.deepEqual(hexes(await last.getMany(SESSIONS, keys)), ["30", undefined, "32", "33"]);
  });

  define("records are listed in the order of their bytes, unsigned, shorter first", async (scene) => {
    const device = await scene.device();
    const shuffled = [...ORDERED].reverse();
    await device.commit(shuffled.map((key) => put(hex(key), hex(key))));
    const ordered = ORDERED.map((key): [string, string] => [key, key]);
    assert.deepEqual(pairs(await device.list(SESSIONS, {}, { limit: 100 })), ordered);
    assert.deepEqual(pairs(await device.list(SESSIONS, {}, { limit: 100, reverse: true })), ordered.reverse());
  });

  define("arbitrary keys are listed in the order of their bytes", async (scene) => {
    const device = await scene.device();
    const keys = fc.uniqueArray(fc.uint8Array({ maxLength: 12 }), { maxLength: 40, selector: (key) => toHex(key) });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(keys, async (unordered) => {
        const collection = `run ${++run}`;
        await device.commit(unordered.map((key) => put(key, key, collection)));
        const ordered = [...unordered].sort(compareBytes).map((key) => toHex(key));
        assert.deepEqual(keysOf(await device.list(collection, {}, { limit: 1_000 })), ordered);
        const down = await device.list(collection, {}, { limit: 1_000, reverse: true });
        assert.deepEqual(keysOf(down), ordered.reverse());
      }),
      { numRuns: 30 },
    );
  });

  define("keysOnly leaves the values out, and nothing else", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1"), put("b", "2"), put("c", "3")]);
    await device.close();
    const again = await scene.device();
    const listed = await again.list(SESSIONS, { gt: text("a") }, { limit: 5, keysOnly: true });
    assert.deepEqual(pairs(listed), [
      ["62", ""],
      ["63", ""],
    ]);
    assert.equal(toHex(await again.get(SESSIONS, text("b"))), "32", "a listing of keys does not hide values");
    assert.equal(toHex(await again.get(SESSIONS, text("c"))), "33");
    assert.equal(await again.get(SESSIONS, text("bb")), undefined);
    assert.equal(toHex(await again.get(SESSIONS, text("a"))), "31");
  });

  define("values of one mebibyte come back as they were", async (scene) => {
    const device = await scene.device();
    const values = [patterned(1 << 20, 1), patterned(1 << 20, 2)];
    await device.commit(values.map((value, at) => put(numbered(at), value)));
    await device.close();
    const again = await scene.device();
    const listed = await again.list(SESSIONS, {}, { limit: 10 });
    assert.equal(listed.length, 2);
    for (const [at, value] of values.entries()) {
      assert.ok(sameBytes(await again.get(SESSIONS, numbered(at)), value), `got: value ${at}`);
      assert.ok(sameBytes(listed[at]?.value, value), `listed: value ${at}`);
    }
  });

  define("keys and values may be views into a larger buffer, and Node's buffers", async (scene) => {
    const device = await scene.device();
    const large = Buffer.from("....key....value....");
    const key = large.subarray(4, 7);
    const value = new Uint8Array(large.buffer, large.byteOffset + 11, 5);
    await device.commit([put(key, value)]);
    await device.close();
    const again = await scene.device();
    assert.deepEqual(pairs(await again.list(SESSIONS, {}, { limit: 2 })), [[toHex(text("key")), toHex(text("value"))]]);
    assert.equal(toHex(await again.get(SESSIONS, key)), toHex(text("value")));
    assert.equal(await again.count(SESSIONS, { gte: key, lte: key }), 1);
  });

  define("collections with similar names do not share records", async (scene) => {
    const device = await scene.device();
    const names = ["a", "A", "a ", " a", "ab", "a\u0001", "é", "e\u0301", "\u{1f511}", "\ufffd", "%", "_", "a'--", '"'];
    names.push("n".repeat(MAX_COLLECTION_NAME_BYTES), "é".repeat(Math.floor(MAX_COLLECTION_NAME_BYTES / 2)));
    await device.commit(names.map((name, at) => put("k", numbered(at), name)));
    await device.commit([put("b", "joined", "a"), put("", "joined", "ab")]);
    await device.close();
    const again = await scene.device();
    for (const [at, name] of names.entries()) {
      assert.equal(toHex(await again.get(name, text("k"))), toHex(numbered(at)), JSON.stringify(name));
    }
    assert.equal(await again.count("a"), 2);
    assert.equal(await again.count("A"), 1);
    await again.commit([{ type: "dropCollection", collection: "a" }]);
    assert.equal(await again.count("a"), 0);
    assert.equal(await again.count("ab"), 2);
    assert.equal(await again.count("A"), 1);
  });

  define("a read sees every commit that has resolved, whatever was read before", async (scene) => {
    const device = await scene.device();
    const key = text("a");
    assert.equal(await device.get(SESSIONS, key), undefined, "absent at first");
    await device.commit([put("a", "1")]);
    assert.equal(toHex(await device.get(SESSIONS, key)), "31", "put");
    await device.commit([put("a", "2")]);
    assert.equal(toHex(await device.get(SESSIONS, key)), "32", "overwritten");
    await device.commit([del("a")]);
    assert.equal(await device.get(SESSIONS, key), undefined, "deleted");
    await device.commit([put("a", "3")]);
    assert.equal(toHex(await device.get(SESSIONS, key)), "33", "put again");
    await device.commit([{ type: "deleteRange", collection: SESSIONS, range: {} }]);
    assert.equal(await device.get(SESSIONS, key), undefined, "deleted in a range");
    await device.commit([put("a", "4"), put("b", "4")]);
    assert.deepEqual(hexes(await device.getMany(SESSIONS, [key, text("b")])), ["34", "34"]);
    await device.commit([{ type: "dropCollection", collection: SESSIONS }]);
    assert.deepEqual(hexes(await device.getMany(SESSIONS, [key, text("b")])), [undefined, undefined], "dropped");
    assert.deepEqual(await device.list(SESSIONS, {}, { limit: 1 }), []);
  });
}
