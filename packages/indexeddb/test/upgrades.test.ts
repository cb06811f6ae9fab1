import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBOpenDBRequest, type IDBVersionChangeEvent } from "../src/index.ts";
import { completionOf, nextEvent, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

describe("opening a database", () => {
  it("upgrades it, and tells complete before success", async () => {
    const factory = createIndexedDB(await openDevice());
    const seen: unknown[] = [];
    const database = await openDatabase(factory, "db", 3, (opened, transaction, event) => {
      const { oldVersion, newVersion } = event as IDBVersionChangeEvent;
      seen.push([event.constructor.name, oldVersion, newVersion, opened.version, transaction.mode]);
      transaction.oncomplete = () => seen.push("complete");
    });
    seen.push("success");
    expect(seen).toEqual([["IDBVersionChangeEvent", 0, 3, 3, "versionchange"], "complete", "success"]);
    expect(await factory.databases()).toEqual([{ name: "db", version: 3 }]);
    database.close();
  });

  it("refuses a lower version", async () => {
    const factory = createIndexedDB(await openDevice());
    (await openDatabase(factory, "db", 2)).close();
    await expect(openDatabase(factory, "db", 1)).rejects.toMatchObject({ name: "VersionError" });
  });

  it("asks other connections to close, and says when they do not", async () => {
    const factory = createIndexedDB(await openDevice());
    const first = await openDatabase(factory, "db", 1);
    const asked = nextEvent(first, "versionchange");
    const request: IDBOpenDBRequest = factory.open("db", 2);
    const blocked = nextEvent(request, "blocked");
    expect(await asked).toMatchObject({ oldVersion: 1, newVersion: 2 });
    expect(await blocked).toMatchObject({ oldVersion: 1, newVersion: 2 });
    first.close();
    const second = await resultOf(request);
    expect(second.version).toBe(2);
  });

  it("takes back everything that an upgrade did when it is aborted", async () => {
    const factory = createIndexedDB(await openDevice());
    const made = await openDatabase(factory, "db", 1, (database) => {
      const store = database.createObjectStore("kept");
      store.createIndex("by n", "n");
      store.put({ n: 1 }, "a");
      database.createObjectStore("also");
    });
    made.close();
    const failed = openDatabase(factory, "db", 2, (database, transaction) => {
      const kept = transaction.objectStore("kept");
      kept.name = "renamed";
      kept.deleteIndex("by n");
      kept.createIndex("new", "n");
      kept.put({ n: 2 }, "b");
      database.deleteObjectStore("also");
      database.createObjectStore("more");
      transaction.abort();
    });
    await expect(failed).rejects.toMatchObject({ name: "AbortError" });
    const database = await openDatabase(factory, "db");
    expect(database.version).toBe(1);
    expect([...database.objectStoreNames]).toEqual(["also", "kept"]);
    const kept = database.transaction("kept").objectStore("kept");
    expect([...kept.indexNames]).toEqual(["by n"]);
    expect(await resultOf(kept.index("by n").getAllKeys())).toEqual(["a"]);
  });

  it("leaves nothing of a database whose first upgrade was aborted", async () => {
    const store = await openDevice();
    const factory = createIndexedDB(store);
    const failed = openDatabase(factory, "db", 1, (database, transaction) => {
      database.createObjectStore("s").put(1, 1);
      transaction.abort();
    });
    await expect(failed).rejects.toMatchObject({ name: "AbortError" });
    expect(await factory.databases()).toEqual([]);
    expect(await store.count("idb")).toBe(0);
  });

  it("makes an index of the records that there are, and refuses one that is not unique", async () => {
    const factory = createIndexedDB(await openDevice());
    const fill = await openDatabase(factory, "db", 1, (database) => {
      const store = database.createObjectStore("s", { keyPath: "id" });
      for (let id = 0; id < 250; id += 1) store.put({ id, even: id % 2 === 0 ? "yes" : "no", own: id * 2 });
    });
    fill.close();
    const indexed = await openDatabase(factory, "db", 2, (_, transaction) => {
      transaction.objectStore("s").createIndex("own", "own", { unique: true });
      transaction.objectStore("s").createIndex("even", "even");
    });
    const store = indexed.transaction("s").objectStore("s");
    expect(await resultOf(store.index("own").getKey(498))).toBe(249);
    expect(await resultOf(store.index("even").count("no"))).toBe(125);
    indexed.close();
    const failed = openDatabase(factory, "db", 3, (_, transaction) => {
      transaction.objectStore("s").createIndex("not unique", "even", { unique: true });
    });
    await expect(failed).rejects.toMatchObject({ name: "AbortError" });
  });

  it("gives back the records and the collections of what is deleted", async () => {
    const store = await openDevice();
    const factory = createIndexedDB(store);
    const database = await openDatabase(factory, "db", 1, (opened) => {
      opened.createObjectStore("s", { autoIncrement: true }).createIndex("i", "i");
    });
    const transaction = database.transaction("s", "readwrite");
    transaction.objectStore("s").put({ i: 1 });
    await completionOf(transaction);
    expect(await store.count("idb:1.1 db/s")).toBe(1);
    expect(await store.count("idb:1.1.2 db/s/i")).toBe(1);
    database.close();
    await resultOf(factory.deleteDatabase("db"));
    expect(await store.count("idb:1.1 db/s")).toBe(0);
    expect(await store.count("idb:1.1.2 db/s/i")).toBe(0);
    expect(await factory.databases()).toEqual([]);
  });

  it("keeps names of any characters apart, and shows what can be shown in the collections", async () => {
    const store = await openDevice();
    const names = ["", "plain", "\ud800", "\udfff", "with\0nul", "x".repeat(5000), "🔑/ключ"];
    const factory = createIndexedDB(store);
    for (const name of names) {
      const database = await openDatabase(factory, name, 1, (opened) => {
        opened.createObjectStore(name).put(name.length, "length");
      });
      database.close();
    }
    const found = (await factory.databases()).map((info) => info.name);
    expect(found.toSorted()).toEqual(names.toSorted());
    for (const name of names) {
      const database = await openDatabase(factory, name);
      expect([...database.objectStoreNames]).toEqual([name]);
      const length = database.transaction(name).objectStore(name).get("length");
      expect(await resultOf(length)).toBe(name.length);
    }
    expect(await store.count("idb:7.1 🔑/ключ/🔑/ключ")).toBe(1);
  });
});
