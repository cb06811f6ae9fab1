import { MAX_VALUE_BYTES } from "@holdfast/key-store-core";
import { expect, it } from "vitest";
import { createIndexedDB } from "../src/index.ts";
import { completionOf, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

it("a value that is larger than a key store takes is a DataError of its request, and leaves no trace", async () => {
  const device = await openDevice();
  const database = await openDatabase(createIndexedDB(device), "large", 1, (opened) => {
    opened.createObjectStore("plain");
    opened.createObjectStore("indexed", { keyPath: "id", autoIncrement: true }).createIndex("n", "n");
  });
  const transaction = database.transaction(["plain", "indexed"], "readwrite");
  const completed = completionOf(transaction);
  const plain = transaction.objectStore("plain");
  const indexed = transaction.objectStore("indexed");
  expect(await resultOf(indexed.add({ n: "old" }))).toBe(1);
  const bytes = new Uint8Array(MAX_VALUE_BYTES);
  for (const put of [
    () => plain.put(bytes, 1),
    () => indexed.put({ id: 1, n: "new", bytes }),
    () => indexed.add({ n: "another", bytes }),
  ]) {
    const request = put();
    request.addEventListener("error", (event) => event.preventDefault());
    await expect(resultOf(request)).rejects.toMatchObject({ name: "DataError" });
  }
  expect(await resultOf(plain.count())).toBe(0);
  expect(await resultOf(indexed.index("n").getAllKeys())).toEqual([1]);
  expect(await resultOf(indexed.get(1))).toEqual({ id: 1, n: "old" });
  expect(await resultOf(indexed.add({}))).toBe(2);
  await completed;
  expect(device.failed.aborted).toBe(false);
});
