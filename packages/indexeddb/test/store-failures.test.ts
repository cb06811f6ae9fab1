import { KeyStoreError } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase, mount } from "../src/index.ts";
import { completionOf, nextEvent, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice, withMethods } from "./support/stores.ts";

const gone = new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the database is gone");

/** A database with one record, on a device store that begins to fail when it is told to. */
async function openFailing(methods: "reads" | "commits"): Promise<{ database: IDBDatabase; fail: () => void }> {
  const store = await openDevice();
  let failing = false;
  const failure = async <T>(otherwise: () => Promise<T>): Promise<T> => {
    if (failing) throw gone;
    return otherwise();
  };
  const wrapped =
    methods === "reads"
      ? withMethods(store, {
          getMany: (collection, keys) => failure(() => store.getMany(collection, keys)),
          list: (collection, range, page) => failure(() => store.list(collection, range, page)),
          count: (collection, range) => failure(() => store.count(collection, range)),
        })
      : withMethods(store, { commit: (changes) => failure(() => store.commit(changes)) });
  const database = await openDatabase(createIndexedDB(wrapped), "db", 1, (opened) => {
    const made = opened.createObjectStore("s");
    made.createIndex("n", "n");
    made.put({ n: 1 }, "one");
  });
  return {
    database,
    fail: () => {
      failing = true;
    },
  };
}

describe("a device store that fails", () => {
  it("aborts the transaction that it cannot commit, and says why", async () => {
    const { database, fail } = await openFailing("commits");
    fail();
    const transaction = database.transaction("s", "readwrite");
    const request = transaction.objectStore("s").put({ n: 2 }, "two");
    expect(await resultOf(request)).toBe("two");
    await nextEvent(transaction, "abort");
    expect(transaction.error).toBeInstanceOf(DOMException);
    expect(transaction.error).toMatchObject({ name: "UnknownError", cause: gone });
    expect(transaction.error?.message).toContain("ERR_KEY_STORE_UNAVAILABLE");
  });

  it("fails the request that it cannot read for, and with it the transaction", async () => {
    for (const ask of ["get", "getAll", "count", "openCursor", "getAllKeys"] as const) {
      const { database, fail } = await openFailing("reads");
      fail();
      const transaction = database.transaction("s");
      const aborted = nextEvent(transaction, "abort");
      const request = transaction.objectStore("s").index("n")[ask](1);
      await expect(resultOf(request)).rejects.toMatchObject({ name: "UnknownError", cause: gone });
      await aborted;
      expect(transaction.error).toBe(request.error);
    }
  });

  it("fails the other requests that were waiting for the same reads", async () => {
    const { database, fail } = await openFailing("reads");
    fail();
    const store = database.transaction("s").objectStore("s");
    const requests = [store.get("one"), store.get("two"), store.get("three")];
    const outcomes = await Promise.allSettled(requests.map(resultOf));
    expect(outcomes.map((each) => each.status === "rejected" && each.reason.name)).toEqual([
      "UnknownError",
      "AbortError",
      "AbortError",
    ]);
  });

  it("fails the request to open a database, which can be opened when the store is there again", async () => {
    const store = await openDevice();
    (await openDatabase(createIndexedDB(store), "db", 1)).close();
    let failing = true;
    const wrapped = withMethods(store, {
      list: async (collection, range, page) => {
        if (failing) throw gone;
        return store.list(collection, range, page);
      },
    });
    const factory = createIndexedDB(wrapped);
    await expect(openDatabase(factory, "db")).rejects.toMatchObject({ name: "UnknownError", cause: gone });
    await expect(factory.databases()).rejects.toMatchObject({ name: "UnknownError", cause: gone });
    failing = false;
    expect((await openDatabase(factory, "db")).version).toBe(1);
  });

  it("takes an upgrade back that it cannot commit", async () => {
    const store = await openDevice();
    const wrapped = withMethods(store, { commit: async () => Promise.reject(gone) });
    const factory = createIndexedDB(wrapped);
    const failed = openDatabase(factory, "db", 1, (opened) => void opened.createObjectStore("s"));
    await expect(failed).rejects.toMatchObject({ name: "AbortError" });
    expect(await factory.databases()).toEqual([]);
  });

  it("says that there is no room by QuotaExceededError", async () => {
    const store = await openDevice();
    const full = new KeyStoreError("ERR_KEY_STORE_DISK_FULL", "no room is left");
    const database = await openDatabase(
      createIndexedDB(store),
      "db",
      1,
      (opened) => void opened.createObjectStore("s"),
    );
    database.close();
    const wrapped = withMethods(store, { commit: async () => Promise.reject(full) });
    const again = await openDatabase(createIndexedDB(wrapped), "db");
    const transaction = again.transaction("s", "readwrite");
    transaction.objectStore("s").put(1, 1);
    await expect(completionOf(transaction)).rejects.toMatchObject({ name: "QuotaExceededError", cause: full });
  });

  it("leaves no transaction behind for the next one to wait for", async () => {
    const { database, fail } = await openFailing("commits");
    fail();
    const failed = database.transaction("s", "readwrite");
    failed.objectStore("s").put({ n: 2 }, "two");
    const next = database.transaction("s");
    expect(await resultOf(next.objectStore("s").getAllKeys())).toEqual(["one"]);
    expect(failed.error?.name).toBe("UnknownError");
  });

  it("does not keep a mount from being taken away", async () => {
    const keyStore = new MemoryKeyStore();
    const store = await openDevice(keyStore);
    const mounted = mount("closing/", store);
    await store.close();
    await mounted.unmount();
  });
});

describe("a stored value that is not what was written", () => {
  it("fails the request that reads it with DataError, and no other", async () => {
    const store = await openDevice();
    const database = await openDatabase(createIndexedDB(store), "db", 1, (opened) => {
      const made = opened.createObjectStore("s");
      made.put("good", 1);
      made.put("bad", 2);
    });
    const [, bad] = await store.list("idb:1.1 db/s", {}, { limit: 2 });
    await store.commit([
      { type: "put", collection: "idb:1.1 db/s", key: bad?.key ?? new Uint8Array(), value: Uint8Array.of(1, 0xff) },
    ]);
    const transaction = database.transaction("s");
    const records = transaction.objectStore("s");
    const failing = records.get(2);
    failing.onerror = (event) => event.preventDefault();
    await nextEvent(failing, "error");
    expect(failing.error).toMatchObject({ name: "DataError" });
    expect(await resultOf(records.get(1))).toBe("good");
    expect(await resultOf(records.getAllKeys())).toEqual([1, 2]);
    await completionOf(transaction);
  });
});
