import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase } from "../src/index.ts";
import { extractIndexKeys } from "../src/keys/key-path.ts";
import { clone } from "../src/values/clone.ts";
import { decodeValue } from "../src/values/decode.ts";
import { encodeValue } from "../src/values/encode.ts";
import { cloneable } from "./support/arbitraries.ts";
import { completionOf, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

/** Where there may be something in a value that is more than its properties. */
const PATHS = ["", "size", "type", "name", "lastModified", "message", "stack", "code", "cause", "length", "lastIndex"];

/** A database with a store "s", whose indexes are named after their key paths. */
async function openIndexed(paths: readonly string[], options: { autoIncrement?: boolean } = {}): Promise<IDBDatabase> {
  return openDatabase(createIndexedDB(await openDevice()), "indexed", 1, (database) => {
    const store = database.createObjectStore("s", { keyPath: "id", ...options });
    for (const path of paths) store.createIndex(path, path);
  });
}

async function write(database: IDBDatabase, values: readonly object[]): Promise<void> {
  const transaction = database.transaction("s", "readwrite");
  for (const value of values) transaction.objectStore("s").put(value);
  await completionOf(transaction);
}

async function keysIn(database: IDBDatabase, path: string): Promise<unknown[]> {
  const records = database.transaction("s").objectStore("s").index(path).getAllRecords();
  return (await resultOf(records)).map(({ key, primaryKey }: { key: unknown; primaryKey: unknown }) => [
    key,
    primaryKey,
  ]);
}

async function emptied(database: IDBDatabase, ids: readonly number[]): Promise<void> {
  const transaction = database.transaction("s", "readwrite");
  for (const id of ids) transaction.objectStore("s").delete(id);
  await completionOf(transaction);
}

describe("an index", () => {
  it("has the same keys for a value that is put as for the one that is read back", async () => {
    await fc.assert(
      fc.asyncProperty(cloneable(), async (value) => {
        const put = clone(value);
        const read = decodeValue(await encodeValue(put));
        for (const path of PATHS) {
          for (const [first, second] of [
            [put.value, read],
            [{ at: put.value }, { at: read }],
          ]) {
            const whole = first === put.value ? path : `at.${path}`.replace(/\.$/, "");
            expect(extractIndexKeys(first, whole, true)).toStrictEqual(extractIndexKeys(second, whole, true));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("finds files by what File and Blob say of themselves, whether it was there before them or not", async () => {
    const paths = ["file.name", "file.size", "file.type", "file.lastModified"];
    const device = await openDevice();
    const open = (version: number, indexed: readonly string[]) =>
      openDatabase(createIndexedDB(device), "files", version, (database, transaction) => {
        const store = version === 1 ? database.createObjectStore("s", { keyPath: "id" }) : transaction.objectStore("s");
        for (const path of indexed) store.createIndex(path, path);
      });
    const first = await open(1, paths.slice(0, 2));
    const file = new File(["abc"], "a.txt", { type: "text/plain", lastModified: 12 });
    await write(first, [
      { id: 1, file },
      { id: 2, file: new Blob(["x"], { type: "image/png" }) },
    ]);
    first.close();
    const database = await open(2, paths.slice(2));
    expect(await keysIn(database, "file.name")).toEqual([["a.txt", 1]]);
    expect(await keysIn(database, "file.size")).toEqual([
      [1, 2],
      [3, 1],
    ]);
    expect(await keysIn(database, "file.type")).toEqual([
      ["image/png", 2],
      ["text/plain", 1],
    ]);
    expect(await keysIn(database, "file.lastModified")).toEqual([[12, 1]]);
    await write(database, [{ id: 1, file: new File(["y"], "b.txt", { lastModified: 13 }) }]);
    expect(await keysIn(database, "file.name")).toEqual([["b.txt", 1]]);
    await emptied(database, [1, 2]);
    for (const path of paths) expect(await keysIn(database, path)).toEqual([]);
  });

  it("asks a Blob itself, not what a program has put on it", async () => {
    const database = await openIndexed(["blob.size"]);
    const blob = Object.defineProperty(new Blob(["four"]), "size", { value: 99 });
    await write(database, [{ id: 1, blob }]);
    expect(await keysIn(database, "blob.size")).toEqual([[4, 1]]);
    await emptied(database, [1]);
    expect(await keysIn(database, "blob.size")).toEqual([]);
  });

  it("knows of an error what is stored of it, and no more", async () => {
    const database = await openIndexed(["error.code", "error.message", "error.cause.code"]);
    const error = Object.assign(new Error("gone", { cause: { code: 7 } }), { code: "ENOENT" });
    await write(database, [{ id: 1, error }]);
    expect(await keysIn(database, "error.code")).toEqual([]);
    expect(await keysIn(database, "error.message")).toEqual([["gone", 1]]);
    expect(await keysIn(database, "error.cause.code")).toEqual([[7, 1]]);
    await emptied(database, [1]);
    for (const path of database.transaction("s").objectStore("s").indexNames) {
      expect(await keysIn(database, path)).toEqual([]);
    }
  });

  it("has no generated key of an object that keeps no properties", async () => {
    const database = await openIndexed(["id"], { autoIncrement: true });
    await write(database, [new Error("x"), new Date(1), new Blob(["x"]), new DOMException("x"), new Map(), {}, []]);
    expect(await keysIn(database, "id")).toEqual([
      [6, 6],
      [7, 7],
    ]);
    await emptied(database, [1, 2, 3, 4, 5, 6, 7]);
    expect(await keysIn(database, "id")).toEqual([]);
  });

  it("has what a value with a Blob was when it was put", async () => {
    const database = await openIndexed(["date"]);
    const date = new Date(1000);
    const transaction = database.transaction("s", "readwrite");
    transaction.objectStore("s").put({ id: 1, blob: new Blob(["x"]), date });
    date.setTime(5);
    await completionOf(transaction);
    expect(await keysIn(database, "date")).toEqual([[new Date(1000), 1]]);
    await emptied(database, [1]);
    expect(await keysIn(database, "date")).toEqual([]);
  });
});
