import { openAsBlob, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase, IDBKeyRange, type IDBObjectStore, type IDBRequest } from "../src/index.ts";
import { completionOf, nextEvent, openDatabase, resultOf } from "./support/requests.ts";
import { openDevice } from "./support/stores.ts";

async function openNotes(): Promise<IDBDatabase> {
  return openDatabase(createIndexedDB(await openDevice()), "notes", 1, (database) => {
    database.createObjectStore("notes");
    database.createObjectStore("others");
  });
}

describe("a transaction", () => {
  it("sees its own writes before they are committed", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const notes = transaction.objectStore("notes");
    notes.put("one", 1);
    notes.put("two", 2);
    notes.delete(1);
    expect(await resultOf(notes.getAll())).toEqual(["two"]);
    expect(await resultOf(notes.count())).toBe(1);
    await completionOf(transaction);
  });

  it("that is aborted before a Blob of it could be read leaves no failure behind", async () => {
    const database = await openNotes();
    const path = join(tmpdir(), `holdfast-blob-${process.pid}`);
    writeFileSync(path, "as it was");
    const blob = await openAsBlob(path);
    writeFileSync(path, "and now longer than it was");
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    try {
      const transaction = database.transaction("notes", "readwrite");
      transaction.objectStore("notes").put(blob, 1);
      transaction.abort();
      await expect(completionOf(transaction)).rejects.toThrow();
      await expect(blob.text()).rejects.toThrow();
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
      rmSync(path);
    }
  });

  it("answers with all records of a store that is many pages long", async () => {
    const database = await openNotes();
    const writing = database.transaction("notes", "readwrite");
    for (let n = 0; n < 2_500; n += 1) writing.objectStore("notes").put(n, n);
    await completionOf(writing);
    const all = Array.from({ length: 2_500 }, (_, n) => n);
    const notes = database.transaction("notes").objectStore("notes");
    expect(await resultOf(notes.getAll())).toEqual(all);
    expect(await resultOf(notes.getAll(null, 1_001))).toEqual(all.slice(0, 1_001));
  });

  it("commits once, whatever it wrote", async () => {
    const store = await openDevice();
    const database = await openDatabase(createIndexedDB(store), "notes", 1, (opened) => {
      opened.createObjectStore("notes").createIndex("n", "n");
    });
    const before = store.revision;
    const transaction = database.transaction("notes", "readwrite");
    for (let n = 0; n < 100; n += 1) transaction.objectStore("notes").put({ n }, n);
    await completionOf(transaction);
    expect(store.revision).toBe(before + 1n);
  });

  it("commits nothing where it only read, or wrote nothing", async () => {
    const store = await openDevice();
    const database = await openDatabase(createIndexedDB(store), "notes", 1, (opened) => {
      opened.createObjectStore("notes");
    });
    const before = store.revision;
    await resultOf(database.transaction("notes").objectStore("notes").get(1));
    await completionOf(database.transaction("notes", "readwrite"));
    expect(store.revision).toBe(before);
  });

  it("takes everything back when it is aborted", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const request = transaction.objectStore("notes").put("one", 1);
    const failed = resultOf(request).catch((error) => error);
    const aborted = nextEvent(transaction, "abort");
    transaction.abort();
    expect(await failed).toMatchObject({ name: "AbortError" });
    await aborted;
    expect(transaction.error).toBeNull();
    expect(await resultOf(database.transaction("notes").objectStore("notes").count())).toBe(0);
  });

  it("is active in the microtasks of the task that created it, and not after it", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes");
    await Promise.resolve();
    await Promise.resolve();
    const request = transaction.objectStore("notes").get(1);
    await resultOf(request);
    await new Promise((resolve) => setImmediate(resolve));
    expect(() => transaction.objectStore("notes").get(1)).toThrow(
      expect.objectContaining({ name: expect.stringMatching(/^(InvalidStateError|TransactionInactiveError)$/) }),
    );
  });

  it("stays open as long as each result is followed by a request in its microtasks", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const notes = transaction.objectStore("notes");
    for (let n = 0; n < 200; n += 1) {
      await resultOf(notes.put(n, n));
      await Promise.resolve();
    }
    await completionOf(transaction);
    expect(await resultOf(database.transaction("notes").objectStore("notes").count())).toBe(200);
  });

  it("lets timers run, however many results it has to tell", async () => {
    const database = await openNotes();
    const notes = database.transaction("notes", "readwrite").objectStore("notes");
    let stop = false;
    setTimeout(() => {
      stop = true;
    }, 1);
    let count = 0;
    while (!stop) {
      await resultOf(notes.put(count, count));
      count += 1;
    }
    expect(count).toBeGreaterThan(1);
  });

  it("tells results in the order they were asked for, each in a task of its own", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const notes = transaction.objectStore("notes");
    const seen: string[] = [];
    const watch = (name: string, request: IDBRequest): void => {
      request.onsuccess = () => {
        seen.push(name);
        queueMicrotask(() => seen.push(`${name} microtask`));
      };
    };
    watch("put", notes.put("one", 1));
    watch("all", notes.getAll());
    watch("get", notes.get(1));
    watch("put again", notes.put("two", 2));
    await completionOf(transaction);
    expect(seen).toEqual([
      "put",
      "put microtask",
      "all",
      "all microtask",
      "get",
      "get microtask",
      "put again",
      "put again microtask",
    ]);
  });

  it("is told of a failure by an event that bubbles to the transaction and the database", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const notes = transaction.objectStore("notes");
    const path: [string, number, unknown][] = [];
    const request = resultless(notes);
    const note = (name: string) => (event: Event) => path.push([name, event.eventPhase, event.currentTarget]);
    database.addEventListener("error", note("database captures"), true);
    transaction.addEventListener("error", note("transaction captures"), { capture: true });
    request.addEventListener("error", (event) => {
      note("request")(event);
      expect(event.target).toBe(request);
      expect(event.composedPath()).toEqual([request, transaction, database]);
    });
    transaction.onerror = note("transaction");
    database.onerror = note("database");
    await expect(completionOf(transaction)).rejects.toMatchObject({ name: "ConstraintError" });
    expect(path).toEqual([
      ["database captures", 1, database],
      ["transaction captures", 1, transaction],
      ["request", 2, request],
      ["transaction", 3, transaction],
      ["database", 3, database],
    ]);
  });

  it("goes on after a failure whose event was cancelled", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const request = resultless(transaction.objectStore("notes"));
    request.onerror = (event) => event.preventDefault();
    await completionOf(transaction);
    expect(await resultOf(database.transaction("notes").objectStore("notes").getAll())).toEqual(["one"]);
  });

  it("is aborted where a handler returns nothing and cancels nothing, after commit() too", async () => {
    const database = await openNotes();
    const transaction = database.transaction("notes", "readwrite");
    const request = resultless(transaction.objectStore("notes"));
    transaction.commit();
    request.onerror = () => {};
    await expect(completionOf(transaction)).rejects.toMatchObject({ name: "ConstraintError" });
  });

  it("does not let writers of the same object store overlap", async () => {
    const database = await openNotes();
    const order: string[] = [];
    const write = async (name: string, stores: string[]): Promise<void> => {
      const transaction = database.transaction(stores, "readwrite");
      const store = transaction.objectStore(stores[0] as string); // it is given one
      await resultOf(store.get("x"));
      order.push(`${name} begins`);
      await resultOf(store.put(name, "x"));
      await completionOf(transaction);
      order.push(`${name} ends`);
    };
    await Promise.all([write("first", ["notes"]), write("second", ["notes"]), write("third", ["notes", "others"])]);
    expect(order).toEqual(["first begins", "first ends", "second begins", "second ends", "third begins", "third ends"]);
  });

  it("lets writers of other object stores pass", async () => {
    const database = await openNotes();
    const held = database.transaction("notes", "readwrite").objectStore("notes");
    let release = false;
    const hold = (): void => {
      if (!release) held.get(1).onsuccess = hold;
    };
    hold();
    const other = database.transaction("others", "readwrite");
    other.objectStore("others").put(1, 1);
    await completionOf(other);
    release = true;
    await completionOf(held.transaction);
  });

  it("reads what the writers before it have committed, and not what those after it write", async () => {
    const database = await openNotes();
    const writer = database.transaction("notes", "readwrite");
    writer.objectStore("notes").put("first", 1);
    const reader = database.transaction("notes");
    const later = database.transaction("notes", "readwrite");
    later.objectStore("notes").put("second", 1);
    expect(await resultOf(reader.objectStore("notes").get(1))).toBe("first");
    await completionOf(later);
  });

  it("forgets what a key generator gave when it is aborted", async () => {
    const factory = createIndexedDB(await openDevice());
    const database = await openDatabase(factory, "generated", 1, (opened) => {
      opened.createObjectStore("items", { autoIncrement: true, keyPath: "meta.id" });
    });
    const aborted = database.transaction("items", "readwrite");
    expect(await resultOf(aborted.objectStore("items").put({ a: 1 }))).toBe(1);
    aborted.abort();
    const transaction = database.transaction("items", "readwrite");
    const items = transaction.objectStore("items");
    expect(await resultOf(items.put({ meta: { kept: true } }))).toBe(1);
    expect(await resultOf(items.put({ meta: { id: 41.5 } }))).toBe(41.5);
    expect(await resultOf(items.put({}))).toBe(42);
    await completionOf(transaction);
    expect(
      await resultOf(database.transaction("items").objectStore("items").getAll(IDBKeyRange.upperBound(42))),
    ).toEqual([{ meta: { kept: true, id: 1 } }, { meta: { id: 41.5 } }, { meta: { id: 42 } }]);
  });
});

/** Places a request that fails: the key is taken. */
function resultless(notes: IDBObjectStore): IDBRequest {
  notes.add("one", 1);
  return notes.add("again", 1);
}
