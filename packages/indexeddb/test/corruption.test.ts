import type { DeviceStore } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase, IDBKeyRange, type IDBObjectStore, type IDBRequest } from "../src/index.ts";
import { toKey } from "../src/keys/encode.ts";
import { clone } from "../src/values/clone.ts";
import { decodeValue } from "../src/values/decode.ts";
import { encodeValue } from "../src/values/encode.ts";
import { openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

const DATA_ERROR = expect.objectContaining({ constructor: DOMException, name: "DataError" });

describe("a stored key that is not what was written", () => {
  const readers: [string, (store: IDBObjectStore) => IDBRequest][] = [
    ["getKey", (store) => store.getKey(IDBKeyRange.lowerBound(Number.NEGATIVE_INFINITY))],
    ["getAllKeys", (store) => store.getAllKeys()],
    ["getAllRecords", (store) => store.getAllRecords()],
    ["openCursor", (store) => store.openCursor()],
    ["openKeyCursor", (store) => store.openKeyCursor()],
    ["openKeyCursor backwards", (store) => store.openKeyCursor(null, "prev")],
    ["a cursor over an index", (store) => store.index("n").openKeyCursor()],
    ["getAllKeys of an index", (store) => store.index("n").getAllKeys()],
  ];

  async function openDamaged(key: Uint8Array): Promise<IDBDatabase> {
    const device = await openDevice();
    const database = await openDatabase(createIndexedDB(device), "keys", 1, (opened) => {
      opened.createObjectStore("s").createIndex("n", "n");
    });
    const value = await encodeValue(clone({ n: 1 }));
    await device.commit([
      { type: "put", collection: "idb:1.1 keys/s", key, value },
      { type: "put", collection: "idb:1.1.2 keys/s/n", key, value: new Uint8Array() },
    ]);
    return database;
  }

  it.each(readers)("is a DataError of the request that meets it: %s", async (_, read) => {
    for (const key of [Uint8Array.of(0xff), Uint8Array.of(0x10, 1), new Uint8Array(1_024).fill(0xff)]) {
      const database = await openDamaged(key);
      const transaction = database.transaction("s");
      const request = read(transaction.objectStore("s"));
      await expect(resultOf(request)).rejects.toEqual(DATA_ERROR);
      expect(request.error).toEqual(DATA_ERROR);
    }
  });

  it("leaves the object store usable", async () => {
    const database = await openDamaged(Uint8Array.of(0xff));
    await expect(resultOf(database.transaction("s").objectStore("s").openCursor())).rejects.toEqual(DATA_ERROR);
    const store = database.transaction("s", "readwrite").objectStore("s");
    expect(await resultOf(store.put("one", 1))).toBe(1);
    expect(await resultOf(store.get(1))).toBe("one");
  });
});

describe("a catalog of databases that is not what was written", () => {
  interface Stored {
    readonly key: Uint8Array;
    readonly value: Uint8Array;
  }

  /** A device with databases of all kinds, and what its catalog holds. */
  async function withCatalog(): Promise<{ reopen(damage: Stored): Promise<DeviceStore>; catalog: readonly Stored[] }> {
    const storage = new MemoryStorage();
    const device = await openDevice(new MemoryKeyStore({ storage }));
    const factory = createIndexedDB(device);
    for (const name of ["one", "two \ud800"]) {
      const database = await openDatabase(factory, name, 3, (opened) => {
        const store = opened.createObjectStore("s", { keyPath: "a.b", autoIncrement: true });
        store.createIndex("i", ["a", "\u00e9"], { unique: true });
        store.createIndex("\udc00", "m", { multiEntry: true });
        store.put({ a: {} });
        opened.createObjectStore("");
      });
      database.close();
    }
    const catalog = await device.list("idb", {}, { limit: 100 });
    await device.close();
    return {
      catalog,
      async reopen({ key, value }) {
        const damaged = await openDevice(new MemoryKeyStore({ storage }));
        const puts = catalog.map((each) => ({ type: "put", collection: "idb", ...each }) as const);
        await damaged.commit([{ type: "dropCollection", collection: "idb" }, ...puts]);
        await damaged.commit([{ type: "put", collection: "idb", key, value }]);
        return damaged;
      },
    };
  }

  it("is a DataError of whoever asks for a database or for all of them", async () => {
    const { catalog, reopen } = await withCatalog();
    const [first] = catalog;
    const database = decodeValue((first as Stored).value) as { stores: object[] };
    const values: unknown[] = [
      {},
      [],
      null,
      "database",
      { ...database, name: [70_000] },
      { ...database, version: 0 },
      { ...database, nextId: 1 },
      { ...database, stores: {} },
      { ...database, stores: [...database.stores, ...database.stores] },
      { ...database, stores: [{ ...database.stores[0], keyPath: "no path" }] },
      { ...database, stores: [{ ...database.stores[0], composite: true }] },
      { ...database, stores: [{ ...database.stores[0], autoIncrement: 1 }] },
      { ...database, stores: [{ ...database.stores[0], collection: "idb:2.1 one/s" }] },
      { ...database, stores: [{ ...database.stores[0], indexes: [{}] }] },
    ];
    const damages: Stored[] = [];
    for (const value of values) damages.push({ key: (first as Stored).key, value: await encodeValue(clone(value)) });
    damages.push({ key: (first as Stored).key, value: Uint8Array.of(1) });
    const one = await encodeValue(clone(1));
    for (const key of [["next"], ["generator", 1, 1], ["database", "one"], ["unknown"], "next"]) {
      const value = Array.isArray(key) && key[0] === "generator" ? await encodeValue(clone("1")) : one;
      damages.push({ key: toKey(key) as Uint8Array, value });
    }
    damages.push({ key: Uint8Array.of(0x42), value: one });
    for (const damage of damages) {
      const device = await reopen(damage);
      const factory = createIndexedDB(device);
      await expect(factory.databases()).rejects.toEqual(DATA_ERROR);
      await expect(resultOf(factory.open("one"))).rejects.toEqual(DATA_ERROR);
      await expect(resultOf(factory.deleteDatabase("two"))).rejects.toEqual(DATA_ERROR);
      await device.close();
    }
  });

  it("is a DataError or goes unnoticed, wherever its bytes are changed", async () => {
    const { catalog, reopen } = await withCatalog();
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat({ max: 255 }), async (nth, at, byte) => {
        const { key, value } = catalog[nth % catalog.length] as Stored;
        const damaged = Uint8Array.from(value);
        damaged[at % damaged.length] = byte;
        const device = await reopen({ key, value: damaged });
        const found = await createIndexedDB(device)
          .databases()
          .catch((error: unknown) => error);
        if (!Array.isArray(found)) expect(found).toEqual(DATA_ERROR);
        await device.close();
      }),
      { numRuns: 300 },
    );
  });
});
