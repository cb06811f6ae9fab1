import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBCursor, type IDBDatabase, IDBKeyRange } from "../src/index.ts";
import { completionOf, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

const PREFIX = "p".repeat(1500);

/** Keys short and long, many of them with the same beginning. */
const anyKey = fc.oneof(
  fc.string({ maxLength: 3 }),
  fc.string({ maxLength: 3 }).map((end) => PREFIX + end),
  fc.string({ maxLength: 3 }).map((end) => `${PREFIX.slice(0, 985)}${end}`),
  fc.string({ maxLength: 2 }).map((start) => start + PREFIX),
);

async function openStore(): Promise<IDBDatabase> {
  return openDatabase(createIndexedDB(await openDevice()), "long", 1, (database) => {
    const store = database.createObjectStore("s");
    store.createIndex("value", "value");
    store.createIndex("unique", "unique", { unique: true });
  });
}

describe("keys that are longer than the key store's", () => {
  it("are found, ordered, counted and deleted like any others", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(anyKey, { maxLength: 14 }), anyKey, anyKey, async (keys, one, other) => {
        const database = await openStore();
        const transaction = database.transaction("s", "readwrite");
        const store = transaction.objectStore("s");
        for (const key of keys) store.put({ value: key, unique: [key] }, key);
        const [from, to] = [one, other].toSorted() as [string, string];
        const range = from === to ? IDBKeyRange.only(from) : IDBKeyRange.bound(from, to, true, false);
        const sorted = keys.toSorted();
        const inside = sorted.filter((key) => range.includes(key));

        for (const source of [store, store.index("value")]) {
          expect(await resultOf(source.getAllKeys())).toEqual(sorted);
          expect(await resultOf(source.getAllKeys(range))).toEqual(inside);
          expect(await resultOf(source.getAllKeys(range, 2))).toEqual(inside.slice(0, 2));
          expect(await resultOf(source.count(range))).toBe(inside.length);
          expect(await cursorKeys(source.openKeyCursor(range, "prev"))).toEqual(inside.toReversed());
        }
        for (const key of keys) {
          expect(await resultOf(store.get(key))).toEqual({ value: key, unique: [key] });
          expect(await resultOf(store.index("unique").getKey([key]))).toBe(key);
        }
        await resultOf(store.delete(range));
        const left = sorted.filter((key) => !range.includes(key));
        expect(await resultOf(store.getAllKeys())).toEqual(left);
        expect(await resultOf(store.index("value").getAllKeys())).toEqual(left);
        await completionOf(transaction);
        expect(await resultOf(database.transaction("s").objectStore("s").getAllKeys())).toEqual(left);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it("are not taken for others that begin alike", async () => {
    const database = await openStore();
    const store = database.transaction("s", "readwrite").objectStore("s");
    await resultOf(store.put({ value: 1 }, `${PREFIX}a`));
    expect(await resultOf(store.get(`${PREFIX}b`))).toBeUndefined();
    await resultOf(store.add({ value: 2 }, `${PREFIX}b`));
    const again = store.add({ value: 3 }, `${PREFIX}a`);
    again.onerror = (event) => event.preventDefault();
    await new Promise((resolve) => again.addEventListener("error", resolve));
    expect(again.error).toMatchObject({ name: "ConstraintError" });
  });
});

async function cursorKeys(request: { result: unknown; onsuccess: unknown }): Promise<unknown[]> {
  const keys: unknown[] = [];
  await new Promise<void>((resolve) => {
    request.onsuccess = () => {
      const cursor = request.result as IDBCursor | null;
      if (cursor === null) {
        resolve();
        return;
      }
      keys.push(cursor.primaryKey);
      cursor.continue();
    };
  });
  return keys;
}
