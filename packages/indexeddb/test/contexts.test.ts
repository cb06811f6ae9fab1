import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase } from "../src/index.ts";
import { completionOf, nextEvent, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

const caller = new AsyncLocalStorage<string>();

async function makeDatabase(): Promise<IDBDatabase> {
  const factory = createIndexedDB(await openDevice());
  return openDatabase(factory, "db", 1, (opened) => void opened.createObjectStore("s").put("value", "key"));
}

/** The contexts in which listeners of these types were called. */
function contextsOf(target: EventTarget, ...types: string[]): string[] {
  const contexts: string[] = [];
  for (const type of types) target.addEventListener(type, () => contexts.push(`${type} in ${caller.getStore()}`));
  return contexts;
}

describe("listeners run in the asynchronous context", () => {
  it("of the code that created the transaction", async () => {
    const database = await makeDatabase();
    const both = ["one", "two"].map((name) =>
      caller.run(name, () => {
        const transaction = database.transaction("s", "readwrite");
        const request = transaction.objectStore("s").get("key");
        const failing = transaction.objectStore("s").add("again", "key");
        failing.addEventListener("error", (event) => event.preventDefault());
        const contexts = [contextsOf(request, "success"), contextsOf(failing, "error")];
        return { contexts: [...contexts, contextsOf(transaction, "complete")], done: completionOf(transaction) };
      }),
    );
    await Promise.all(both.map(({ done }) => done));
    expect(both.map(({ contexts }) => contexts.flat())).toEqual([
      ["success in one", "error in one", "complete in one"],
      ["success in two", "error in two", "complete in two"],
    ]);
  });

  it("of that code too where it is aborted by other code", async () => {
    const database = await makeDatabase();
    // From here on the tasks are driven by other code.
    caller.run("other", () => database.transaction("s"));
    const transaction = caller.run("creator", () => database.transaction("s"));
    const request = transaction.objectStore("s").get("key");
    const contexts = [contextsOf(request, "error"), contextsOf(transaction, "abort")];
    caller.run("other", () => transaction.abort());
    await nextEvent(transaction, "abort");
    expect(contexts).toEqual([["error in creator"], ["abort in creator"]]);
  });

  it("of the code that asked for the database", async () => {
    const factory = createIndexedDB(await openDevice());
    const request = caller.run("opener", () => factory.open("db", 1));
    const contexts = contextsOf(request, "upgradeneeded", "success");
    const database = await resultOf(request);
    const told = contextsOf(database, "versionchange");
    const upgrade = caller.run("upgrader", () => factory.open("db", 2));
    const blocked = contextsOf(upgrade, "blocked", "upgradeneeded", "success");
    await nextEvent(upgrade, "blocked");
    database.close();
    await resultOf(upgrade);
    expect(contexts).toEqual(["upgradeneeded in opener", "success in opener"]);
    expect(told).toEqual(["versionchange in opener"]);
    expect(blocked).toEqual(["blocked in upgrader", "upgradeneeded in upgrader", "success in upgrader"]);
  });

  it("of the caller where a program dispatches an event itself", async () => {
    const database = await makeDatabase();
    const contexts = contextsOf(database, "close");
    caller.run("caller", () => database.dispatchEvent(new Event("close")));
    expect(contexts).toEqual(["close in caller"]);
  });

  it("so that a batch knows whether it is begun inside another", async () => {
    const store = await openDevice();
    const database = await openDatabase(
      createIndexedDB(store),
      "db",
      1,
      (opened) => void opened.createObjectStore("s"),
    );
    const outside = database.transaction("s", "readwrite");
    const put = outside.objectStore("s").put("first", 1);
    const batches: Promise<unknown>[] = [];
    put.onsuccess = () => batches.push(store.batch(async () => "outside"));
    await store.batch(async () => {
      // The batch drives the tasks from here on; the transaction is still that of the code outside.
      const inside = database.transaction("s", "readwrite");
      inside.objectStore("s").put("second", 2).onsuccess = () => batches.push(store.batch(async () => "inside"));
      await completionOf(inside);
    });
    expect(await Promise.allSettled(batches)).toEqual([
      { status: "fulfilled", value: "outside" },
      { status: "rejected", reason: expect.objectContaining({ code: "ERR_KEY_STORE_INVALID_ARGUMENT" }) },
    ]);
  });
});
