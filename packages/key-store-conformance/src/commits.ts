import assert from "node:assert/strict";
import type { Change, DeviceStore } from "@holdfast/key-store-core";
import { numbered, text, toHex } from "./bytes.ts";
import { pairs } from "./expect.ts";
import { type Define, del, put, SESSIONS } from "./scene.ts";

const dropped: Change = { type: "dropCollection", collection: SESSIONS };

/** From `from` on and before `to`. */
function delRange(from: string, to: string): Change {
  return { type: "deleteRange", collection: SESSIONS, range: { gte: text(from), lt: text(to) } };
}

/** What a commit over the records a, b, c and d, each with the value "old", leaves behind. */
const IN_ORDER: readonly (readonly [name: string, changes: readonly Change[], left: Record<string, string>])[] = [
  [
    "the same key put twice keeps the last value",
    [put("a", "1"), put("a", "2")],
    { a: "2", b: "old", c: "old", d: "old" },
  ],
  ["a new key put then deleted is absent", [put("x", "1"), del("x")], { a: "old", b: "old", c: "old", d: "old" }],
  ["an old key put then deleted is absent", [put("a", "1"), del("a")], { b: "old", c: "old", d: "old" }],
  ["a key deleted then put has the new value", [del("a"), put("a", "1")], { a: "1", b: "old", c: "old", d: "old" }],
  ["a key deleted twice is absent", [del("a"), del("a")], { b: "old", c: "old", d: "old" }],
  ["deleting what is not there changes nothing", [del("x")], { a: "old", b: "old", c: "old", d: "old" }],
  ["a range deleted takes what was put before it", [put("bb", "1"), delRange("b", "d")], { a: "old", d: "old" }],
  [
    "a range deleted leaves what is put after it",
    [delRange("a", "e"), put("b", "1"), put("bb", "2")],
    { b: "1", bb: "2" },
  ],
  [
    "what is put into a deleted range may be deleted again",
    [delRange("a", "d"), put("b", "1"), del("b")],
    { d: "old" },
  ],
  [
    "two ranges that overlap are both deleted",
    [delRange("a", "c"), put("b", "1"), delRange("b", "d"), put("c", "2")],
    { c: "2", d: "old" },
  ],
  ["a collection dropped is empty", [dropped], {}],
  ["a collection dropped leaves what is put after it", [put("a", "1"), dropped, put("c", "2")], { c: "2" }],
  ["a collection dropped after its puts is empty", [put("x", "1"), dropped], {}],
  ["a collection dropped twice holds only the last puts", [dropped, put("a", "1"), dropped, put("b", "2")], { b: "2" }],
  [
    "a range deleted after a drop takes the puts between them",
    [dropped, put("a", "1"), put("d", "1"), delRange("a", "b")],
    { d: "1" },
  ],
];

async function contents(device: DeviceStore): Promise<Record<string, string>> {
  const listed = await device.list(SESSIONS, {}, { limit: 100 });
  return Object.fromEntries(
    listed.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString()]),
  );
}

export function commitTests(define: Define): void {
  for (const [name, changes, left] of IN_ORDER) {
    define(`in one commit, ${name}`, async (scene) => {
      const device = await scene.device();
      const reset: Change[] = [dropped, put("a", "old"), put("b", "old"), put("c", "old"), put("d", "old")];
      await device.commit(reset);
      await device.commit(changes);
      assert.deepEqual(await contents(device), left, "read by the store that wrote");
      assert.equal(await device.count(SESSIONS), Object.keys(left).length);
      await device.commit(reset);
      await device.batch(async () => {
        for (const change of changes) await device.commit([change]);
        assert.deepEqual(await contents(device), left, "read inside a batch");
      });
      await device.close();
      const again = await scene.device();
      assert.deepEqual(await contents(again), left, "read by the next store");
      assert.equal(again.revision, 4n);
    });
  }

  define("every commit moves the revision up by one", async (scene) => {
    const device = await scene.device();
    assert.equal(device.revision, 0n);
    for (let commit = 1n; commit <= 5n; commit++) {
      await device.commit([put("a", `${commit}`), put("b", `${commit}`)]);
      assert.equal(device.revision, commit);
    }
    assert.equal((await (await scene.store()).listDevices())[0]?.revision, 5n);
  });

  define("a commit of no changes is no commit", async (scene) => {
    const device = await scene.device();
    await device.commit([]);
    assert.equal(device.revision, 0n);
    await device.close();
    assert.equal((await scene.device()).revision, 0n);
  });

  define("a commit over several collections is one commit", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1", "x"), put("a", "2", "y"), put("a", "3", "z")]);
    for (const collection of ["x", "y", "z"]) assert.equal(await device.count(collection), 1, collection);
    await device.commit([put("b", "4", "x"), { type: "dropCollection", collection: "y" }, del("a", "z")]);
    assert.equal(device.revision, 2n);
    await device.close();
    const again = await scene.device();
    assert.deepEqual(pairs(await again.list("x", {}, { limit: 9 })), [
      [toHex(text("a")), toHex(text("1"))],
      [toHex(text("b")), toHex(text("4"))],
    ]);
    assert.equal(await again.count("y"), 0);
    assert.equal(await again.count("z"), 0);
  });

  define("commits made at once are applied one by one, in their order", async (scene) => {
    const device = await scene.device();
    const commits = Array.from({ length: 40 }, (_, at) => device.commit([put("last", `${at}`), put(numbered(at), "")]));
    await Promise.all(commits);
    assert.equal(device.revision, 40n);
    assert.equal(toHex(await device.get(SESSIONS, text("last"))), toHex(text("39")));
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 40n);
    assert.equal(await again.count(SESSIONS), 41);
  });

  define("reads made at once with commits answer with a state that was", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "0"), put("b", "0")]);
    const reads: Promise<(Uint8Array | undefined)[]>[] = [];
    const commits: Promise<void>[] = [];
    for (let at = 1; at <= 20; at++) {
      commits.push(device.commit([put("a", `${at}`), put("b", `${at}`)]));
      reads.push(device.getMany(SESSIONS, [text("a"), text("b")]));
    }
    for (const [a, b] of await Promise.all(reads)) {
      assert.ok(a !== undefined && b !== undefined);
      assert.equal(toHex(a), toHex(b), "both keys are of one commit");
    }
    await Promise.all(commits);
    assert.equal(toHex(await device.get(SESSIONS, text("a"))), toHex(text("20")));
  });
}
