import { type DBSchema, deleteDB, type IDBPDatabase, openDB, unwrap, wrap } from "idb";
import { describe, expect, it, onTestFinished } from "vitest";
import { createIndexedDB, IDBKeyRange, install, uninstall } from "../../src/index.ts";
import { type Place, places } from "./place.ts";

interface Books extends DBSchema {
  books: {
    key: string;
    value: { isbn: string; title: string; author: string; year: number; subjects: string[] };
    indexes: { "by author": [string, number]; "by subject": string; "by title": string };
  };
  readings: { key: number; value: { isbn: string; page: number } };
}

const BOOKS: readonly Books["books"]["value"][] = [
  { isbn: "1", title: "Notes", author: "Lovelace", year: 1843, subjects: ["engines", "maths"] },
  { isbn: "2", title: "Computable Numbers", author: "Turing", year: 1936, subjects: ["maths"] },
  { isbn: "3", title: "Computing Machinery", author: "Turing", year: 1950, subjects: ["machines", "minds"] },
];

/** Installs what a place has now as the globals, until the running test is over or the next call. */
let installed = false;
async function globalsOf(place: Place): Promise<void> {
  if (installed) uninstall();
  install(globalThis, createIndexedDB(await place.open()));
  if (!installed) {
    onTestFinished(() => {
      uninstall();
      installed = false;
    });
  }
  installed = true;
}

async function openBooks(): Promise<IDBPDatabase<Books>> {
  const db = await openDB<Books>("library", 1, {
    upgrade(database) {
      const books = database.createObjectStore("books", { keyPath: "isbn" });
      books.createIndex("by author", ["author", "year"]);
      books.createIndex("by subject", "subjects", { multiEntry: true });
      books.createIndex("by title", "title", { unique: true });
      database.createObjectStore("readings", { autoIncrement: true });
    },
  });
  onTestFinished(() => db.close());
  return db;
}

async function openFilled(place: Place): Promise<IDBPDatabase<Books>> {
  await globalsOf(place);
  const db = await openBooks();
  const transaction = db.transaction("books", "readwrite");
  await Promise.all([...BOOKS.map((book) => transaction.store.add(book)), transaction.done]);
  return db;
}

describe.each(places)("idb on %s", (_name, newPlace) => {
  it("upgrades a schema over versions, and finds it and the data through a second instance", async () => {
    const place = newPlace();
    await globalsOf(place);
    const first = await openDB("library", 1, {
      upgrade(database, oldVersion, newVersion) {
        expect([oldVersion, newVersion]).toEqual([0, 1]);
        database.createObjectStore("books", { keyPath: "isbn" });
        database.createObjectStore("drafts");
      },
    });
    await first.put("books", { isbn: "1", title: "Notes" });
    first.close();

    await globalsOf(place);
    const second = await openDB("library", 3, {
      async upgrade(database, oldVersion, newVersion, transaction) {
        expect([oldVersion, newVersion]).toEqual([1, 3]);
        database.deleteObjectStore("drafts");
        const books = transaction.objectStore("books");
        books.createIndex("by length", "length");
        for await (const cursor of books) await cursor.update({ ...cursor.value, length: cursor.value.title.length });
      },
    });
    second.close();

    await globalsOf(place);
    const third = await openDB("library");
    onTestFinished(() => third.close());
    expect(third.version).toBe(3);
    expect([...third.objectStoreNames]).toEqual(["books"]);
    expect(await third.getAllFromIndex("books", "by length", 5)).toEqual([{ isbn: "1", title: "Notes", length: 5 }]);
    await expect(openDB("library", 2)).rejects.toMatchObject({ name: "VersionError" });
  });

  it("asks open connections to close for an upgrade, and goes on once they have", async () => {
    await globalsOf(newPlace());
    const told: (readonly unknown[])[] = [];
    const asked = Promise.withResolvers<void>();
    const first = await openDB("library", 1, {
      blocking(current, blocked) {
        told.push(["blocking", current, blocked]);
        asked.resolve();
      },
    });
    const isBlocked = Promise.withResolvers<void>();
    const upgraded = openDB("library", 2, {
      blocked(current, blocked) {
        told.push(["blocked", current, blocked]);
        isBlocked.resolve();
      },
    });
    await asked.promise;
    await isBlocked.promise;
    first.close();
    const second = await upgraded;
    onTestFinished(() => second.close());
    expect(second.version).toBe(2);
    expect(told).toEqual([
      ["blocking", 1, 2],
      ["blocked", 1, 2],
    ]);
  });

  it("reads by compound, multi-entry and unique indexes", async () => {
    const db = await openFilled(newPlace());
    const turings = IDBKeyRange.bound(["Turing"], ["Turing", []]);
    expect(await db.getAllKeysFromIndex("books", "by author", turings)).toEqual(["2", "3"]);
    expect(await db.getKeyFromIndex("books", "by author", ["Turing", 1950])).toBe("3");
    expect(await db.countFromIndex("books", "by subject")).toBe(5);
    expect((await db.getAllFromIndex("books", "by subject", "maths")).map(({ isbn }) => isbn)).toEqual(["1", "2"]);
    expect((await db.getAllFromIndex("books", "by title", null, 2)).map(({ title }) => title)).toEqual([
      "Computable Numbers",
      "Computing Machinery",
    ]);
    const double = { isbn: "9", title: "Notes", author: "Nobody", year: 0, subjects: [] };
    await expect(db.put("books", double)).rejects.toMatchObject({ name: "ConstraintError" });
  });

  it("keeps what a transaction wrote once `done` resolves", async () => {
    const place = newPlace();
    const db = await openFilled(place);
    const transaction = db.transaction(["books", "readings"], "readwrite");
    const readings = transaction.objectStore("readings");
    expect(await readings.add({ isbn: "1", page: 10 })).toBe(1);
    expect(await readings.put({ isbn: "2", page: 20 })).toBe(2);
    await transaction.objectStore("books").delete("3");
    await transaction.done;
    db.close();

    await globalsOf(place);
    const again = await openBooks();
    expect(await again.getAll("readings")).toEqual([
      { isbn: "1", page: 10 },
      { isbn: "2", page: 20 },
    ]);
    expect(await again.getAllKeys("books")).toEqual(["1", "2"]);
    // The generator went on from where it was, not from the start.
    expect(await again.add("readings", { isbn: "1", page: 11 })).toBe(3);
  });

  it("rolls back a transaction that is aborted, and one in which a request fails", async () => {
    const db = await openFilled(newPlace());
    const aborted = db.transaction("books", "readwrite");
    await aborted.store.clear();
    aborted.abort();
    await expect(aborted.done).rejects.toMatchObject({ name: "AbortError" });

    const failed = db.transaction(["books", "readings"], "readwrite");
    const outcomes = await Promise.allSettled([
      failed.objectStore("readings").add({ isbn: "1", page: 1 }),
      failed.objectStore("books").add({ isbn: "1", title: "Again", author: "", year: 0, subjects: [] }),
      failed.done,
    ]);
    expect(outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.name : outcome.status))).toEqual([
      "fulfilled",
      "ConstraintError",
      // idb hears the request's error on its way up, when the transaction has none yet.
      "AbortError",
    ]);
    expect(await db.count("books")).toBe(3);
    expect(await db.count("readings")).toBe(0);
  });

  it("has finished a transaction that the program left idle", async () => {
    const db = await openFilled(newPlace());
    const transaction = db.transaction("books");
    await transaction.done;
    await expect(async () => transaction.store.get("1")).rejects.toMatchObject({
      name: expect.stringMatching(/^(TransactionInactive|InvalidState)Error$/),
    });
  });

  it("walks by cursors in both directions, and by jumps", async () => {
    const db = await openFilled(newPlace());
    const { store } = db.transaction("books");
    const seen: string[] = [];
    let cursor = await store.openCursor();
    while (cursor) {
      seen.push(cursor.value.title);
      cursor = await cursor.continue();
    }
    expect(seen).toEqual(["Notes", "Computable Numbers", "Computing Machinery"]);

    const index = db.transaction("books").store.index("by author");
    let key = await index.openKeyCursor(null, "prev");
    expect([key?.key, key?.primaryKey]).toEqual([["Turing", 1950], "3"]);
    key = (await key?.advance(2)) ?? null;
    expect([key?.key, key?.primaryKey]).toEqual([["Lovelace", 1843], "1"]);

    let jump = await db.transaction("books").store.index("by subject").openCursor();
    jump = (await jump?.continuePrimaryKey("maths", "2")) ?? null;
    expect([jump?.key, jump?.primaryKey]).toEqual(["maths", "2"]);
    jump = (await jump?.continue("mi")) ?? null;
    expect([jump?.key, jump?.value.isbn]).toEqual(["minds", "3"]);
    expect(await jump?.continue()).toBeNull();
  });

  it("is iterated, and changed while it is", async () => {
    const db = await openFilled(newPlace());
    const transaction = db.transaction("books", "readwrite");
    for await (const cursor of transaction.store.index("by subject").iterate("maths")) {
      if (cursor.primaryKey === "1") await cursor.delete();
      else await cursor.update({ ...cursor.value, year: 1937 });
    }
    await transaction.done;
    const keys: unknown[] = [];
    for await (const { key } of db.transaction("books").store.index("by author").iterate(null, "prev")) keys.push(key);
    expect(keys).toEqual([
      ["Turing", 1950],
      ["Turing", 1937],
    ]);
    const unique: string[] = [];
    for await (const cursor of db.transaction("books").store.index("by subject").iterate(null, "nextunique")) {
      unique.push(cursor.key);
      if (cursor.key === "maths") cursor.continue("mind");
    }
    expect(unique).toEqual(["machines", "maths", "minds"]);
  });

  it("wraps a database that was opened without it", async () => {
    const db = await openFilled(newPlace());
    const plain = unwrap(db);
    expect(plain).not.toBe(db);
    expect(await wrap(plain).get("books", "2")).toEqual(BOOKS[1]);
  });

  it("deletes a database", async () => {
    const place = newPlace();
    const db = await openFilled(place);
    db.close();
    await deleteDB("library");
    const factory = createIndexedDB(await place.open());
    expect(await factory.databases()).toEqual([]);
  });
});
