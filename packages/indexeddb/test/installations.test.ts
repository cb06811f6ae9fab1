import { afterEach, describe, expect, it } from "vitest";
import {
  createIndexedDB,
  type IDBFactory,
  IDBKeyRange,
  indexedDB,
  install,
  installMounts,
  mount,
  uninstall,
} from "../src/index.ts";
import { openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

/** What of IndexedDB is on `globalThis`. */
function globals(): string[] {
  return Object.getOwnPropertyNames(globalThis).filter((name) => /^(IDB|indexedDB$|DOMStringList$)/.test(name));
}

/** The global, as a program finds it. */
function found(): IDBFactory {
  return (globalThis as unknown as { indexedDB: IDBFactory }).indexedDB;
}

describe("installations", () => {
  it("are taken out by what install() answers, in any order, and what was there first comes back", async () => {
    const target: Record<string, unknown> = { indexedDB: "mine" };
    const [one, two] = [createIndexedDB(await openDevice()), createIndexedDB(await openDevice())];
    const first = install(target, one);
    const second = install(target, two);
    expect([first.isInForce, second.isInForce]).toEqual([false, true]);
    first.uninstall();
    expect(target.indexedDB).toBe(two);
    first.uninstall();
    second.uninstall();
    expect(second.isInForce).toBe(false);
    expect(Object.getOwnPropertyDescriptors(target)).toEqual(Object.getOwnPropertyDescriptors({ indexedDB: "mine" }));
    {
      using _ = install(target, one);
      expect(target.indexedDB).toBe(one);
    }
    expect(target.indexedDB).toBe("mine");
  });

  it("leave what other code has put over them", () => {
    const target: Record<string, unknown> = {};
    const installed = install(target);
    target.IDBKeyRange = "theirs";
    expect(installed.isInForce).toBe(false);
    uninstall(target);
    expect(Object.getOwnPropertyDescriptors(target)).toMatchObject({ IDBKeyRange: { value: "theirs" } });
    expect(Object.getOwnPropertyNames(target)).toEqual(["IDBKeyRange"]);
  });

  it("are passed on to where other code came between two of them", () => {
    const target: Record<string, unknown> = {};
    const first = install(target);
    target.IDBKeyRange = "theirs";
    const second = install(target);
    first.uninstall();
    expect(target.IDBKeyRange).toBe(IDBKeyRange);
    expect(second.isInForce).toBe(true);
    second.uninstall();
    expect(Object.getOwnPropertyNames(target)).toEqual(["IDBKeyRange"]);
    expect(target.IDBKeyRange).toBe("theirs");
  });
});

describe("installMounts()", () => {
  afterEach(() => {
    expect(globals()).toEqual([]);
  });

  it.each(["before", "after"] as const)(
    "has the mounted databases, and leaves all others to the factory that was installed %s it",
    async (when) => {
      const [engine, notes] = [await openDevice(), await openDevice()];
      await using _mounted = mount("engine/", engine);
      const own = createIndexedDB(notes);
      if (when === "before") install(globalThis, own);
      using mounts = installMounts();
      if (when === "after") install(globalThis, own);
      expect(mounts.isInForce).toBe(true);
      expect(found()).not.toBe(own);
      (await openDatabase(found(), "engine/crypto", 1)).close();
      (await openDatabase(found(), "notes", 2)).close();
      (await openDatabase(found(), "old", 1)).close();
      expect(await resultOf(found().deleteDatabase("old"))).toBeUndefined();
      expect(await found().databases()).toEqual([
        { name: "engine/crypto", version: 1 },
        { name: "notes", version: 2 },
      ]);
      expect(await createIndexedDB(engine).databases()).toEqual([{ name: "crypto", version: 1 }]);
      expect(await own.databases()).toEqual([{ name: "notes", version: 2 }]);
      uninstall();
      expect(mounts.isInForce).toBe(true);
      await expect(resultOf(found().open("notes"))).rejects.toMatchObject({ name: "InvalidStateError" });
      uninstall();
      expect(mounts.isInForce).toBe(true);
    },
  );

  it("is taken out from above what a program has installed meanwhile, which is then the global", async () => {
    const own = createIndexedDB(await openDevice());
    const mounts = installMounts();
    const installed = install(globalThis, own);
    expect(installed.isInForce).toBe(false);
    mounts.uninstall();
    expect(installed.isInForce).toBe(true);
    expect(found()).toBe(own);
    uninstall();
  });

  it("says when other code has replaced it, and a program's install() then goes above that", () => {
    const mounts = installMounts();
    Object.defineProperty(globalThis, "indexedDB", { value: "theirs", configurable: true, writable: true });
    expect(mounts.isInForce).toBe(false);
    install();
    expect(found()).toBe(indexedDB);
    uninstall();
    expect(found()).toBe("theirs");
    mounts.uninstall();
    expect(found()).toBe("theirs");
    Reflect.deleteProperty(globalThis, "indexedDB");
  });
});
