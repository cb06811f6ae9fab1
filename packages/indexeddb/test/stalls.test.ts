import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type DeviceStore, KeyStoreError } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  createIndexedDB,
  type IDBDatabase,
  type IDBRequest,
  type IDBTransaction,
  indexedDB,
  type Mount,
  mount,
} from "../src/index.ts";
import { FailingStore, gone } from "./support/failing-store.ts";
import { completionOf, nextEvent, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice, withMethods } from "./support/stores.ts";

/** The types of the events that reach any of the targets. */
function eventsOf(...targets: readonly EventTarget[]): string[] {
  const events: string[] = [];
  const types = ["success", "error", "complete", "abort", "upgradeneeded", "blocked", "versionchange", "close"];
  for (const target of targets) {
    for (const type of types) {
      target.addEventListener(type, (event) => {
        if (event.target === target) events.push(type);
      });
    }
  }
  return events;
}

/** Everything that was on its way when it was called has arrived: tasks are told in order, after what they wait for. */
async function settled(): Promise<void> {
  const database = await openDatabase(createIndexedDB(await openDevice()), "db", 1, (opened) => {
    opened.createObjectStore("s");
  });
  for (let n = 0; n < 5; n += 1) {
    const transaction = database.transaction("s", "readwrite");
    transaction.objectStore("s").put(n, n);
    await completionOf(transaction);
    await resultOf(database.transaction("s").objectStore("s").getAll());
  }
}

async function answered(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const note = (): void => {
    done = true;
  };
  promise.then(note, note);
  await settled();
  return done;
}

function makeStore(database: IDBDatabase): void {
  const made = database.createObjectStore("s", { autoIncrement: true });
  made.createIndex("n", "n");
  made.put({ n: 1 }, "one");
}

interface Stalling {
  readonly failing: FailingStore;
  readonly mounted: Mount;
  readonly database: IDBDatabase;
}

/** A database with one record, on a mount that stalls. */
async function openStalling(): Promise<Stalling> {
  const failing = await FailingStore.open();
  const mounted = mount("stalling/", failing.store, { onStoreFailure: "stall" });
  onTestFinished(() => mounted.unmount());
  return { failing, mounted, database: await openDatabase(indexedDB, "stalling/db", 1, makeStore) };
}

function write({ database }: Stalling, value: unknown): { transaction: IDBTransaction; request: IDBRequest } {
  const transaction = database.transaction("s", "readwrite");
  return { transaction, request: transaction.objectStore("s").put(value) };
}

async function readAll(name: string): Promise<unknown> {
  const database = await openDatabase(indexedDB, name);
  const all = await resultOf(database.transaction("s").objectStore("s").getAll());
  database.close();
  return all;
}

describe("a transaction on a mount that stalls", () => {
  it("works as any other while the store does", async () => {
    const stalling = await openStalling();
    await completionOf(write(stalling, { n: 2 }).transaction);
    expect(await readAll("stalling/db")).toEqual([{ n: 2 }, { n: 1 }]);
  });

  it("ends neither way when it cannot be committed", async () => {
    const stalling = await openStalling();
    stalling.failing.fail();
    const { transaction, request } = write(stalling, { n: 2 });
    const events = eventsOf(transaction, stalling.database);
    await resultOf(request);
    await settled();
    expect(events).toEqual([]);
    expect(transaction.error).toBeNull();
  });

  it("is neither answered nor repeated when its commit was applied, and nobody knows", async () => {
    const stalling = await openStalling();
    stalling.failing.fail("a commit that was applied");
    const { transaction } = write(stalling, { n: 2 });
    const events = eventsOf(transaction, stalling.database);
    await settled();
    stalling.mounted.replace(await stalling.failing.reopened());
    expect(await readAll("stalling/db")).toEqual([{ n: 2 }, { n: 1 }]);
    await settled();
    expect(events).toEqual([]);
  });

  it("does not hear of a read that failed, whatever it asked for", async () => {
    for (const ask of ["get", "getAll", "count", "openCursor", "getAllKeys", "getKey"] as const) {
      const { failing, mounted, database } = await openStalling();
      failing.fail();
      const transaction = database.transaction("s");
      const store = transaction.objectStore("s");
      const requests = [store[ask]("one"), store.index("n")[ask](1)];
      const events = eventsOf(...requests, transaction, database);
      await settled();
      expect(events).toEqual([]);
      expect(requests.map((request) => request.readyState)).toEqual(["pending", "pending"]);
      await mounted.unmount();
    }
  });

  it("does not hear of a store that was closed under it", async () => {
    const { failing, database } = await openStalling();
    await failing.store.close();
    const request = database.transaction("s").objectStore("s").get("one");
    const events = eventsOf(request, request.transaction as IDBTransaction);
    await settled();
    expect(events).toEqual([]);
  });

  it("hears of what the store refuses and yet has not failed of", async () => {
    const store = await openDevice();
    const refusal = new KeyStoreError("ERR_KEY_STORE_INVALID_ARGUMENT", "that is not to be stored");
    const wrapped = withMethods(store, { commit: () => Promise.reject(refusal) });
    (await openDatabase(createIndexedDB(store), "db", 1, makeStore)).close();
    const database = await openDatabase(createIndexedDB(wrapped, { onStoreFailure: "stall" }), "db");
    const transaction = database.transaction("s", "readwrite");
    transaction.objectStore("s").put({ n: 2 });
    await expect(completionOf(transaction)).rejects.toMatchObject({ name: "UnknownError", cause: refusal });
  });

  it("does not hear either of what was read before the store failed", async () => {
    const { failing, database } = await openStalling();
    const request = database.transaction("s").objectStore("s").get("one");
    const events = eventsOf(request, request.transaction as IDBTransaction);
    failing.failNow();
    await settled();
    expect(events).toEqual([]);
  });

  it("stays silent when the program aborts it, and lets more be asked of it", async () => {
    const stalling = await openStalling();
    stalling.failing.failNow();
    const { transaction, request } = write(stalling, { n: 2 });
    const events = eventsOf(transaction, request, stalling.database);
    transaction.objectStore("s").get("one");
    transaction.abort();
    await settled();
    expect(events).toEqual([]);
    expect(transaction.error).toBeNull();
  });

  it("is in nobody's way who is to hear of the failure", async () => {
    const stalling = await openStalling();
    const other = await openDatabase(createIndexedDB(stalling.failing.store), "db");
    stalling.failing.fail();
    const { transaction } = write(stalling, { n: 2 });
    const next = other.transaction("s", "readwrite");
    next.objectStore("s").put({ n: 3 });
    await expect(completionOf(next)).rejects.toMatchObject({ name: "UnknownError" });
    expect(transaction.error).toBeNull();
  });

  it("stays silent on the connections from before when there is another store", async () => {
    const stalling = await openStalling();
    stalling.failing.failNow();
    await settled();
    stalling.mounted.replace(await stalling.failing.reopened());
    const { transaction, request } = write(stalling, { n: 2 });
    const events = eventsOf(transaction, request, stalling.database);
    expect(await readAll("stalling/db")).toEqual([{ n: 1 }]);
    await settled();
    expect(events).toEqual([]);
  });
});

describe("a request of the factory on a mount that stalls", () => {
  it("waits for another store, and is carried out on it", async () => {
    const { failing, mounted } = await openStalling();
    failing.failNow();
    const opening = openDatabase(indexedDB, "stalling/db");
    const deleting = resultOf(indexedDB.deleteDatabase("stalling/other"));
    const listing = indexedDB.databases();
    expect(await answered(Promise.race([opening, deleting, listing]))).toBe(false);
    mounted.replace(await failing.reopened());
    expect((await opening).version).toBe(1);
    expect(await deleting).toBeUndefined();
    expect(await listing).toEqual([{ name: "stalling/db", version: 1 }]);
  });

  it("waits too when the store fails while it is under way", async () => {
    const healthy = await openDevice();
    (await openDatabase(createIndexedDB(healthy), "db", 3, makeStore)).close();
    const broken = await FailingStore.open();
    broken.fail();
    await using mounted = mount("stalling/", broken.store, { onStoreFailure: "stall" });
    const opening = openDatabase(indexedDB, "stalling/db");
    const listing = indexedDB.databases();
    expect(await answered(Promise.race([opening, listing]))).toBe(false);
    mounted.replace(healthy);
    const database = await opening;
    expect(database.version).toBe(3);
    expect(await listing).toEqual([{ name: "stalling/db", version: 3 }]);
    database.close();
  });

  it("waits on through any number of stores that fail", async () => {
    const { failing, mounted } = await openStalling();
    failing.failNow();
    const opening = openDatabase(indexedDB, "stalling/new", 2, makeStore);
    const second = await FailingStore.open();
    second.fail();
    mounted.replace(second.store);
    expect(await answered(opening)).toBe(false);
    mounted.replace(await failing.reopened());
    expect((await opening).version).toBe(2);
    expect(await indexedDB.databases()).toEqual([
      { name: "stalling/db", version: 1 },
      { name: "stalling/new", version: 2 },
    ]);
  });

  it("need not wait any more for connections of the store that failed", async () => {
    const { failing, mounted } = await openStalling();
    const request = indexedDB.open("stalling/db", 2);
    await nextEvent(request, "blocked");
    failing.failNow();
    mounted.replace(await failing.reopened());
    expect((await resultOf(request)).version).toBe(2);
  });

  it("is not carried out again when its upgrade had begun", async () => {
    for (const failure of ["everything", "a commit that was applied"] as const) {
      const { failing, mounted, database } = await openStalling();
      database.close();
      const request = indexedDB.open("stalling/db", 2);
      const events = eventsOf(request);
      await nextEvent(request, "upgradeneeded");
      const upgrade = eventsOf(request.transaction as IDBTransaction, request.result);
      failing.fail(failure);
      await settled();
      mounted.replace(await failing.reopened());
      await settled();
      expect(events).toEqual(["upgradeneeded"]);
      expect(upgrade).toEqual([]);
      // What came of it, the store says.
      const after = failure === "everything" ? 1 : 2;
      expect(await indexedDB.databases()).toEqual([{ name: "stalling/db", version: after }]);
      expect((await openDatabase(indexedDB, "stalling/db", 3)).version).toBe(3);
      await mounted.unmount();
    }
  });

  it("is not carried out again when the deletion had been sent", async () => {
    const { failing, mounted, database } = await openStalling();
    database.close();
    failing.fail();
    const request = indexedDB.deleteDatabase("stalling/db");
    const events = eventsOf(request);
    await settled();
    mounted.replace(await failing.reopened());
    await settled();
    expect(events).toEqual([]);
    expect(await readAll("stalling/db")).toEqual([{ n: 1 }]);
  });
});

describe("a mount that stalls", () => {
  it("is taken away at once, and what was held back is never answered", async () => {
    const stalling = await openStalling();
    stalling.failing.fail();
    const { transaction } = write(stalling, { n: 2 });
    await settled();
    const opening = indexedDB.open("stalling/db");
    const listing = indexedDB.databases();
    const events = eventsOf(transaction, stalling.database, opening);
    await stalling.mounted.unmount();
    await settled();
    expect(events).toEqual([]);
    expect(await listing).toEqual([]);
  });

  it("is taken away when the store fails while that waits", async () => {
    const stalling = await openStalling();
    const goOn = stalling.failing.holdReads();
    const request = stalling.database.transaction("s").objectStore("s").get("one");
    const events = eventsOf(request);
    const unmounted = stalling.mounted.unmount();
    stalling.failing.failNow();
    await unmounted;
    goOn();
    await settled();
    expect(events).toEqual([]);
  });

  it("lets go of what it held back", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const held = await (async () => {
      const stalling = await openStalling();
      stalling.failing.fail();
      const { transaction } = write(stalling, { n: 2, bytes: new Uint8Array(1_000_000) });
      const waiting = write(stalling, { n: 3 }).transaction;
      const opening = indexedDB.open("stalling/db");
      await settled();
      await stalling.mounted.unmount();
      return [transaction, waiting, opening, stalling.database].map((each) => new WeakRef(each));
    })();
    for (let tries = 0; tries < 20 && held.some((each) => each.deref() !== undefined); tries += 1) {
      await settled();
      collect();
    }
    expect(held.map((each) => each.deref())).toEqual([undefined, undefined, undefined, undefined]);
  });

  it("takes another store only for one that has failed, and none that has failed itself", async () => {
    const { failing, mounted } = await openStalling();
    const refused = expect.objectContaining({ name: "InvalidStateError" });
    const [healthy, broken] = [await openDevice(), await FailingStore.open()];
    broken.failNow();
    expect(() => mounted.replace(healthy)).toThrow(refused);
    failing.failNow();
    expect(() => mounted.replace(broken.store)).toThrow(refused);
    mounted.replace(healthy);
    await mounted.unmount();
    expect(() => mounted.replace(healthy)).toThrow(refused);
  });

  it("takes over from a store that was closed, though no request has met it, and from none that is closed itself", async () => {
    const keyStore = new MemoryKeyStore();
    const before = await openDevice(keyStore);
    await using mounted = mount("closed/", before, { onStoreFailure: "stall" });
    const database = await openDatabase(indexedDB, "closed/db", 1, makeStore);
    await before.close();
    const after = await openDevice(keyStore);
    expect(() => mounted.replace(before)).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
    mounted.replace(after);
    expect(await readAll("closed/db")).toEqual([{ n: 1 }]);
    const request = database.transaction("s").objectStore("s").get("one");
    const events = eventsOf(request);
    await settled();
    expect(events).toEqual([]);
  });

  it("can be a factory of its own", async () => {
    const failing = await FailingStore.open();
    const factory = createIndexedDB(failing.store, { onStoreFailure: "stall" });
    const database = await openDatabase(factory, "db", 1, makeStore);
    failing.fail();
    const request = database.transaction("s").objectStore("s").get("one");
    const events = eventsOf(request);
    await settled();
    expect(events).toEqual([]);
    expect(await answered(factory.databases())).toBe(false);
  });
});

describe("a mount that aborts", () => {
  it("serves another store when the one before was closed, and closes its connections", async () => {
    const keyStore = new MemoryKeyStore();
    const before = await openDevice(keyStore);
    await using mounted = mount("closed/", before);
    const database = await openDatabase(indexedDB, "closed/db", 1, makeStore);
    await before.close();
    mounted.replace(await openDevice(keyStore));
    expect(() => database.transaction("s")).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
    expect(await readAll("closed/db")).toEqual([{ n: 1 }]);
  });

  it("serves another store when the one before has failed, and closes its connections", async () => {
    const failing = await FailingStore.open();
    await using mounted = mount("aborting/", failing.store);
    const database = await openDatabase(indexedDB, "aborting/db", 1, makeStore);
    failing.fail();
    const transaction = database.transaction("s", "readwrite");
    transaction.objectStore("s").put({ n: 2 });
    await expect(completionOf(transaction)).rejects.toMatchObject({ name: "UnknownError", cause: gone });
    const store: DeviceStore = await failing.reopened();
    mounted.replace(store);
    expect(() => database.transaction("s")).toThrow(expect.objectContaining({ name: "InvalidStateError" }));
    expect(await readAll("aborting/db")).toEqual([{ n: 1 }]);
  });
});
