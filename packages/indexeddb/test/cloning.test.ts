import { openAsBlob, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase } from "../src/index.ts";
import { completionOf, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

/** A database with a store that generates in-line keys, and one that is given keys. */
async function openStores(): Promise<IDBDatabase> {
  return openDatabase(createIndexedDB(await openDevice()), "values", 1, (database) => {
    database.createObjectStore("numbered", { keyPath: "id", autoIncrement: true });
    database.createObjectStore("given");
  });
}

/** Puts a value, changes it before the transaction is done, and reads what was stored. */
// biome-ignore lint/suspicious/noExplicitAny: the value is what the test has put there
async function putAndChange(storeName: string, value: unknown, change: () => void): Promise<any> {
  const database = await openStores();
  const transaction = database.transaction(storeName, "readwrite");
  const store = transaction.objectStore(storeName);
  if (storeName === "given") store.put(value, 1);
  else store.put(value);
  change();
  await completionOf(transaction);
  return resultOf(database.transaction(storeName).objectStore(storeName).get(1));
}

describe("a value that waits for its generated key", () => {
  it("is stored with the bytes that it had when it was put", async () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const back = await putAndChange("numbered", { bytes }, () => bytes.fill(9));
    expect(back).toStrictEqual({ id: 1, bytes: new Uint8Array([1, 2, 3]) });
  });

  it("is stored as it was with all that only V8 can hold", async () => {
    const date = new Date(1000);
    const buffer = new Uint8Array([1, 2, 3, 4]).buffer;
    const error = new Error("as it was", { cause: { nested: [1] } });
    const value = { date, buffer, views: [new Uint8Array(buffer), new Uint16Array(buffer, 2)], error };
    const back = await putAndChange("numbered", value, () => {
      date.setTime(5);
      new Uint8Array(buffer).fill(9);
      error.message = "as it is now";
      (error.cause as { nested: number[] }).nested.push(2);
    });
    expect(back.id).toBe(1);
    expect(back.date).toStrictEqual(new Date(1000));
    expect(new Uint8Array(back.buffer)).toStrictEqual(new Uint8Array([1, 2, 3, 4]));
    expect(back.views[0].buffer).toBe(back.buffer);
    expect(back.views[1].buffer).toBe(back.buffer);
    expect([...back.views[1]]).toEqual([...new Uint16Array(new Uint8Array([3, 4]).buffer)]);
    expect(back.error.message).toBe("as it was");
    expect(back.error.cause).toStrictEqual({ nested: [1] });
  });

  it("is stored though its buffer is taken away meanwhile", async () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const back = await putAndChange("numbered", { bytes }, () =>
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] }),
    );
    expect(back.bytes).toStrictEqual(new Uint8Array([1, 2, 3]));
    expect(bytes.byteLength).toBe(0);
  });

  it("may be frozen, and no key is written on the program's own object", async () => {
    const database = await openStores();
    const transaction = database.transaction("numbered", "readwrite");
    const own = new Error("mine");
    const frozen = Object.freeze(new Date(7));
    transaction.objectStore("numbered").add(own);
    transaction.objectStore("numbered").add(frozen);
    await completionOf(transaction);
    expect(Object.keys(own)).toEqual([]);
    const [error, date] = await resultOf(database.transaction("numbered").objectStore("numbered").getAll());
    expect(error.message).toBe("mine");
    expect(date).toStrictEqual(new Date(7));
  });

  it("is refused at once where it cannot be cloned", async () => {
    const database = await openStores();
    const store = database.transaction("numbered", "readwrite").objectStore("numbered");
    const bytes = new Uint8Array(8);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    const refusal = expect.objectContaining({ name: "DataCloneError" });
    expect(() => store.add({ bytes })).toThrow(refusal);
    expect(() => store.add({ error: new Error("x", { cause: () => {} }) })).toThrow(refusal);
    expect(await resultOf(store.add({}))).toBe(1);
  });
});

describe("a value with a Blob", () => {
  it.each(["given", "numbered"])("is stored as it was when it was put, in a store of %s keys", async (storeName) => {
    const bytes = new Uint8Array([1]);
    const date = new Date(1000);
    const back = await putAndChange(storeName, { blob: new Blob(["x"]), bytes, date }, () => {
      bytes.fill(9);
      date.setTime(5);
    });
    expect(await back.blob.text()).toBe("x");
    expect(back.bytes).toStrictEqual(new Uint8Array([1]));
    expect(back.date).toStrictEqual(new Date(1000));
  });

  it("takes no number of the key generator where the Blob cannot be read", async () => {
    const database = await openStores();
    const path = join(tmpdir(), `holdfast-unreadable-${process.pid}`);
    writeFileSync(path, "as it was");
    const blob = await openAsBlob(path);
    writeFileSync(path, "and now longer than it was");
    try {
      const store = database.transaction("numbered", "readwrite").objectStore("numbered");
      const request = store.add({ blob });
      request.addEventListener("error", (event) => event.preventDefault());
      await expect(resultOf(request)).rejects.toMatchObject({ name: "NotReadableError" });
      expect(await resultOf(store.add({}))).toBe(1);
    } finally {
      rmSync(path);
    }
  });
});
