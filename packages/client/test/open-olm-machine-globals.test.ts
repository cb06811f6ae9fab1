import { createIndexedDB, type IDBFactory, IDBKeyRange, install, uninstall } from "@holdfast/indexeddb";
import type { DeviceRef, DeviceStore, KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import * as fake from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type OlmEngine, openOlmMachine } from "../src/index.ts";

const ONE = { userId: "@one:example.org", deviceId: "ONE" };
const TWO = { userId: "@two:example.org", deviceId: "TWO" };
const KEY = new Uint8Array(32).fill(7);

let keyStore: KeyStore;

beforeEach(async () => {
  keyStore = new MemoryKeyStore();
  expect(await keyStore.init()).toBe(true);
});

afterEach(async () => {
  await keyStore.close();
  removeFakeGlobals();
  expect("indexedDB" in globalThis).toBe(false);
  expect("IDBKeyRange" in globalThis).toBe(false);
});

function openEngine(device: DeviceRef): Promise<OlmEngine> {
  return openOlmMachine({ keyStore, ...device, key: KEY });
}

function identityOf({ machine }: OlmEngine): string {
  return machine.identityKeys.ed25519.toBase64();
}

/** What a program keeps in the global `indexedDB`, and the databases in it. */
async function openNotes(): Promise<IDBFactory> {
  const notes = await keyStore.openDevice({ userId: "@notes:example.org", deviceId: "NOTES" });
  if (notes === null) throw new Error("the device was not opened");
  return createIndexedDB(notes);
}

const { default: fakeIndexedDB, forceCloseDatabase: _, ...interfaces } = fake;
const fakeGlobals = Object.entries(interfaces);

/** Puts another IndexedDB in place of whatever is there, as `fake-indexeddb/auto` does. */
function putFakeGlobals(): void {
  for (const [name, value] of fakeGlobals) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
}

function removeFakeGlobals(): void {
  for (const [name, value] of fakeGlobals) {
    if (Reflect.get(globalThis, name) === value) Reflect.deleteProperty(globalThis, name);
  }
}

describe("the globals of an OlmMachine", () => {
  it("send the keys of each engine to its own store, whatever the program installs meanwhile", async () => {
    const notes = await openNotes();
    await using one = await openEngine(ONE);
    install(globalThis, notes);
    const two = await openEngine(TWO);
    const identity = identityOf(two);
    expect(identity).not.toBe(identityOf(one));
    await two.close();
    await using again = await openEngine(TWO);
    expect(identityOf(again)).toBe(identity);
    expect(await notes.databases()).toEqual([]);
    uninstall();
  });

  it("leave the program its own databases while an engine runs, and its own globals after", async () => {
    const notes = await openNotes();
    install(globalThis, notes);
    const one = await openEngine(ONE);
    const request = (globalThis as unknown as { indexedDB: IDBFactory }).indexedDB.open("notes", 3);
    await new Promise((resolve, reject) => {
      request.onsuccess = resolve;
      request.onerror = () => reject(request.error);
    });
    request.result.close();
    expect(await notes.databases()).toEqual([{ name: "notes", version: 3 }]);
    await one.close();
    expect(globalThis).toMatchObject({ indexedDB: notes, IDBKeyRange });
    uninstall();
  });

  it("stay until the last engine is closed, though the program takes its own out", async () => {
    const notes = await openNotes();
    install(globalThis, notes);
    const one = await openEngine(ONE);
    uninstall();
    uninstall();
    const two = await openEngine(TWO);
    await one.machine.updateTrackedUsers([new UserId(ONE.userId)]);
    await two.close();
    expect(globalThis).toMatchObject({ IDBKeyRange });
    await one.close();
    expect(await notes.databases()).toEqual([]);
  });

  it("are put back in place for what is opened and called after other code has replaced them", async () => {
    const one = await openEngine(ONE);
    putFakeGlobals();
    const two = await openEngine(TWO);
    const identity = identityOf(two);
    await two.close();
    putFakeGlobals();
    expect(await one.machine.exportRoomKeys(() => true)).toBe("[]");
    putFakeGlobals();
    await using again = await openEngine(TWO);
    expect(identityOf(again)).toBe(identity);
    await one.close();
    await again.close();
    expect(globalThis).toMatchObject({ indexedDB: fakeIndexedDB, IDBKeyRange: fake.IDBKeyRange });
    expect(await fakeIndexedDB.databases()).toEqual([]);
  });

  it("are a reason to refuse an engine where they are replaced in the midst of its opening", async () => {
    let commits = 0;
    const replacing = new Proxy(keyStore, {
      get(target, name) {
        if (name === "openDevice") {
          return async (...args: Parameters<KeyStore["openDevice"]>) => {
            const device = await target.openDevice(...args);
            return device && replacedAtCommit(device, () => ++commits === 2);
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    await expect(openOlmMachine({ keyStore: replacing, ...ONE, key: KEY })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_CONFIG",
      message: expect.stringContaining("indexedDB"),
    });
    expect(globalThis).toMatchObject({ indexedDB: fakeIndexedDB });
    await using one = await openEngine(ONE);
    const identity = identityOf(one);
    await one.close();
    await using again = await openEngine(ONE);
    expect(identityOf(again)).toBe(identity);
  });
});

/** A device store in one of whose commits, the engine's first, other code puts its globals in place. */
function replacedAtCommit(device: DeviceStore, isNow: () => boolean): DeviceStore {
  return new Proxy(device, {
    get(target, name) {
      if (name === "commit") {
        return (...args: Parameters<DeviceStore["commit"]>) => {
          if (isNow()) putFakeGlobals();
          return target.commit(...args);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
