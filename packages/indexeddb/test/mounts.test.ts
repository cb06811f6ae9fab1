import type { DeviceStore } from "@holdfast/key-store-core";
import { describe, expect, it } from "vitest";
import {
  createIndexedDB,
  IDBDatabase,
  IDBFactory,
  IDBKeyRange,
  IDBRequest,
  indexedDB,
  install,
  type MountOptions,
  mount,
  uninstall,
} from "../src/index.ts";
import { completionOf, nextEvent, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

async function write(name: string, value: string): Promise<void> {
  const database = await openDatabase(indexedDB, name, 1, (opened) => void opened.createObjectStore("s"));
  const transaction = database.transaction("s", "readwrite");
  transaction.objectStore("s").put(value, "key");
  await completionOf(transaction);
  database.close();
}

async function read(name: string): Promise<unknown> {
  const database = await openDatabase(indexedDB, name);
  const value = await resultOf(database.transaction("s").objectStore("s").get("key"));
  database.close();
  return value;
}

describe("mounts", () => {
  it("send each database to the device store that is mounted for its name", async () => {
    const [first, second] = [await openDevice(), await openDevice()];
    await using _one = mount("one/", first);
    await using _two = mount("two/", second);
    await write("one/db", "in the first");
    await write("two/db", "in the second");
    expect(await read("one/db")).toBe("in the first");
    expect(await read("two/db")).toBe("in the second");
    expect(await createIndexedDB(first).databases()).toEqual([{ name: "db", version: 1 }]);
    expect(await indexedDB.databases()).toEqual([
      { name: "one/db", version: 1 },
      { name: "two/db", version: 1 },
    ]);
  });

  it("keep names without the prefix, so that a device is the same under another one", async () => {
    const store = await openDevice();
    const before = mount("before/", store);
    await write("before/db", "kept");
    await before.unmount();
    await using _after = mount("after/", store);
    expect(await read("after/db")).toBe("kept");
  });

  it("give a name to the longest prefix", async () => {
    const [outer, inner] = [await openDevice(), await openDevice()];
    await using _outer = mount("a/", outer);
    await using _inner = mount("a/b/", inner);
    await write("a/b/db", "inner");
    expect(await createIndexedDB(outer).databases()).toEqual([]);
    expect(await createIndexedDB(inner).databases()).toEqual([{ name: "db", version: 1 }]);
  });

  it("fail requests for names that nothing is mounted for", async () => {
    const failure = { name: "InvalidStateError", message: expect.stringContaining("nowhere/db") };
    await expect(resultOf(indexedDB.open("nowhere/db"))).rejects.toMatchObject(failure);
    await expect(resultOf(indexedDB.deleteDatabase("nowhere/db"))).rejects.toMatchObject(failure);
  });

  it("have one device store for a prefix", async () => {
    await using mounted = mount("taken/", await openDevice());
    const other = await openDevice();
    expect(() => mount(mounted.prefix, other)).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
  });

  it("wait, when they are taken away, for what is under way, and let nothing begin", async () => {
    const store = await openDevice();
    const mounted = mount("busy/", store);
    const database = await openDatabase(indexedDB, "busy/db", 1, (opened) => void opened.createObjectStore("s"));
    const transaction = database.transaction("s", "readwrite");
    transaction.objectStore("s").put("written", 1);
    const order: string[] = [];
    transaction.oncomplete = () => order.push("complete");
    const unmounted = mounted.unmount().then(() => order.push("unmounted"));
    expect(() => database.transaction("s")).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
    await expect(resultOf(indexedDB.open("busy/db"))).rejects.toMatchObject({ name: "InvalidStateError" });
    await unmounted;
    await mounted.unmount();
    expect(order).toEqual(["complete", "unmounted"]);
    // Whoever waited for the connection to close goes on.
    const again = await openDatabase(createIndexedDB(store), "db", 2);
    expect(await resultOf(again.transaction("s").objectStore("s").getAll())).toEqual(["written"]);
  });

  it.each(["deleteDatabase", "open"] as const)(
    "give up, when they are taken away, what waits for connections of another mount: %s",
    async (method) => {
      const store = await openDevice();
      await using _other = mount("other/", store);
      const blocking = await openDatabase(indexedDB, "other/db", 1);
      const mounted = mount("waiting/", store);
      const own = await openDatabase(indexedDB, "waiting/db");
      const request = indexedDB[method]("waiting/db", 2);
      const result = resultOf(request);
      await nextEvent(request, "blocked");
      const unmounted = mounted.unmount();
      await expect(result).rejects.toMatchObject({ name: "AbortError" });
      await unmounted;
      expect(() => own.transaction("s")).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
      // Nothing of it holds up the others.
      blocking.close();
      expect((await openDatabase(indexedDB, "other/db", 3)).version).toBe(3);
    },
  );

  it("carry out, when they are taken away, a deletion that waits for connections of their own", async () => {
    const store = await openDevice();
    const mounted = mount("own/", store);
    await openDatabase(indexedDB, "own/db", 1);
    const request = indexedDB.deleteDatabase("own/db");
    const result = resultOf(request);
    await nextEvent(request, "blocked");
    await mounted.unmount();
    expect(await result).toBeUndefined();
    expect(await createIndexedDB(store).databases()).toEqual([]);
  });

  it("say what is wrong with what they are given, and what to do", async () => {
    const store = await openDevice();
    const wrong = (message: string) =>
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(message) });
    const nothing = null as unknown as DeviceStore;
    expect(() => createIndexedDB(nothing)).toThrow(wrong("openDevice()"));
    expect(() => mount("m/", nothing)).toThrow(wrong("openDevice()"));
    expect(() => mount("m/", Promise.resolve(store) as unknown as DeviceStore)).toThrow(wrong("awaited"));
    expect(() => mount(store as unknown as string, store)).toThrow(wrong("prefix"));
    expect(() => mount("m/", store, "stall" as MountOptions)).toThrow(wrong("object"));
    expect(() => mount("m/", store, { onStorefailure: "stall" } as MountOptions)).toThrow(wrong('"onStorefailure"'));
    const unknown = { onStoreFailure: "ignore" } as unknown as MountOptions;
    expect(() => mount("m/", store, unknown)).toThrow(wrong('"abort" or "stall"'));
    expect(() => createIndexedDB(store, unknown)).toThrow(wrong('"abort" or "stall"'));
    // None of these took the prefix.
    await using mounted = mount("m/", store, { onStoreFailure: undefined });
    expect(() => mounted.replace(nothing)).toThrow(wrong("openDevice()"));
    expect(() => install(createIndexedDB(store))).toThrow(wrong("install(globalThis, factory)"));
    expect(() => install({}, store as unknown as IDBFactory)).toThrow(wrong("createIndexedDB(device)"));
  });

  it("see each other's connections where they are of the same device store", async () => {
    const store = await openDevice();
    const [one, other] = [createIndexedDB(store), createIndexedDB(store)];
    const database = await openDatabase(one, "db", 1);
    database.onversionchange = () => database.close();
    expect((await openDatabase(other, "db", 2)).version).toBe(2);
  });
});

describe("the globals", () => {
  it("are put in place, and what was there before comes back", () => {
    const target: Record<string, unknown> = { indexedDB: "mine", IDBKeyRange: "mine too" };
    install(target);
    expect(target.indexedDB).toBe(indexedDB);
    expect(target.IDBKeyRange).toBe(IDBKeyRange);
    expect(target.IDBRequest).toBe(IDBRequest);
    expect(Object.keys(target)).toEqual(["indexedDB"]);
    uninstall(target);
    expect(Object.getOwnPropertyDescriptors(target)).toEqual(
      Object.getOwnPropertyDescriptors({ indexedDB: "mine", IDBKeyRange: "mine too" }),
    );
    uninstall(target);
    expect(target.indexedDB).toBe("mine");
  });

  it("are not touched by importing this library", () => {
    expect("indexedDB" in globalThis).toBe(false);
    expect("IDBDatabase" in globalThis).toBe(false);
  });

  it("can be of one device store", async () => {
    const target: { indexedDB?: IDBFactory } = {};
    const factory = createIndexedDB(await openDevice());
    install(target, factory);
    expect(target.indexedDB).toBe(factory);
    uninstall(target);
    expect(Object.keys(target)).toEqual([]);
  });

  it("have the classes that instanceof asks for", async () => {
    const factory = createIndexedDB(await openDevice());
    const request = factory.open("db");
    expect(request).toBeInstanceOf(IDBRequest);
    expect(request).toBeInstanceOf(EventTarget);
    expect(factory).toBeInstanceOf(IDBFactory);
    const database = await resultOf(request);
    expect(database).toBeInstanceOf(IDBDatabase);
    expect(Object.prototype.toString.call(database)).toBe("[object IDBDatabase]");
    for (const illegal of [IDBFactory, IDBDatabase, IDBRequest, IDBKeyRange]) {
      expect(() => new illegal()).toThrow(new TypeError("Illegal constructor"));
    }
  });
});
