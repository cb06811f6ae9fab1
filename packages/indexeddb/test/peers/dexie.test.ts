import { Dexie, liveQuery, type Table } from "dexie";
import { describe, expect, it, onTestFinished } from "vitest";
import { createIndexedDB, IDBKeyRange, indexedDB } from "../../src/index.ts";
import { emissionsOf } from "./emissions.ts";
import { type Place, places } from "./place.ts";

// Live queries begin only where this says that there is an IndexedDB, whatever the options of a Dexie say.
Object.assign(Dexie.dependencies, { indexedDB, IDBKeyRange });

interface Friend {
  id?: number;
  first: string;
  last: string;
  age: number;
  tags?: string[];
}

const SCHEMA = { friends: "++id, &nick, age, [last+first], *tags" };

const FRIENDS: readonly Friend[] = [
  { first: "Ada", last: "Lovelace", age: 36, tags: ["maths", "engines"] },
  { first: "Alan", last: "Turing", age: 41, tags: ["maths", "machines"] },
  { first: "Annabella", last: "Lovelace", age: 67, tags: ["maths"] },
  { first: "Grace", last: "Hopper", age: 85, tags: ["compilers", "machines"] },
];

/** Dexie on what a place has now: no globals. What an earlier call gave was closed by the test. */
async function dexieOn(place: Place): Promise<Dexie> {
  const db = new Dexie("friends", { indexedDB: createIndexedDB(await place.open()), IDBKeyRange });
  onTestFinished(() => db.close());
  return db;
}

async function openFriends(place: Place): Promise<{ db: Dexie; friends: Table<Friend, number> }> {
  const db = await dexieOn(place);
  db.version(1).stores(SCHEMA);
  return { db, friends: db.table<Friend, number>("friends") };
}

const firstNames = (friends: readonly Friend[]): string[] => friends.map(({ first }) => first);

describe.each(places)("Dexie on %s", (_name, newPlace) => {
  it("upgrades a schema over versions, and finds it and the data through a second instance", async () => {
    const place = newPlace();
    const first = await dexieOn(place);
    first.version(1).stores({ people: "++id, name", drafts: "id" });
    await first.table("people").bulkAdd([{ name: "Ada Lovelace" }, { name: "Alan Turing" }]);
    await first.table("drafts").add({ id: "a", text: "gone with version 3" });
    first.close();

    const second = await dexieOn(place);
    second.version(1).stores({ people: "++id, name", drafts: "id" });
    second
      .version(2)
      .stores({ people: "++id, name, last" })
      .upgrade((transaction) =>
        transaction
          .table("people")
          .toCollection()
          .modify((person: { name: string; last?: string }) => {
            person.last = person.name.split(" ").at(-1) ?? "";
          }),
      );
    second.version(3).stores({ people: "++id, last", drafts: null, letters: "++id, [to+sent]" });
    await second.open();
    expect(second.verno).toBe(3);
    expect(await second.table("people").where("last").equals("Turing").toArray()).toEqual([
      { id: 2, name: "Alan Turing", last: "Turing" },
    ]);
    await second.table("letters").add({ to: 1, sent: new Date(0) });
    second.close();

    // Without a word on the schema Dexie reads it from the database.
    const third = await dexieOn(place);
    await third.open();
    expect(third.verno).toBe(3);
    expect(third.tables.map(({ name }) => name).sort()).toEqual(["letters", "people"]);
    expect(third.table("people").schema.indexes.map(({ name }) => name)).toEqual(["last"]);
    expect(await third.table("people").orderBy("last").primaryKeys()).toEqual([1, 2]);
    expect(await third.table("letters").toArray()).toEqual([{ id: 1, to: 1, sent: new Date(0) }]);
  });

  it("leaves the database as it was where an upgrade fails", async () => {
    const place = newPlace();
    const { db, friends } = await openFriends(place);
    await friends.bulkAdd(FRIENDS);
    db.close();

    const failing = await dexieOn(place);
    failing.version(1).stores(SCHEMA);
    failing
      .version(2)
      .stores({ others: "id" })
      .upgrade(async (transaction) => {
        await transaction.table("friends").clear();
        throw new Error("changed my mind");
      });
    await expect(failing.open()).rejects.toThrow("changed my mind");
    failing.close();

    const again = await openFriends(place);
    expect(await again.friends.count()).toBe(4);
    expect(again.db.verno).toBe(1);
    expect(again.db.tables.map(({ name }) => name)).toEqual(["friends"]);
  });

  it("queries compound indexes by their whole and by their beginning", async () => {
    const { friends } = await openFriends(newPlace());
    await friends.bulkAdd(FRIENDS);
    expect(await friends.get({ last: "Turing", first: "Alan" })).toMatchObject({ age: 41 });
    const lovelaces = friends.where("[last+first]").between(["Lovelace", Dexie.minKey], ["Lovelace", Dexie.maxKey]);
    expect(firstNames(await lovelaces.toArray())).toEqual(["Ada", "Annabella"]);
    expect(firstNames(await lovelaces.reverse().toArray())).toEqual(["Annabella", "Ada"]);
    expect(await friends.where({ last: "Lovelace" }).count()).toBe(2);
    expect(await friends.orderBy("[last+first]").keys()).toEqual([
      ["Hopper", "Grace"],
      ["Lovelace", "Ada"],
      ["Lovelace", "Annabella"],
      ["Turing", "Alan"],
    ]);
  });

  it("queries multi-entry indexes by each of their entries", async () => {
    const { friends } = await openFriends(newPlace());
    await friends.bulkAdd(FRIENDS);
    expect(firstNames(await friends.where("tags").equals("machines").toArray())).toEqual(["Alan", "Grace"]);
    expect(await friends.where("tags").anyOf("maths", "machines").count()).toBe(5);
    expect(firstNames(await friends.where("tags").anyOf("maths", "machines").distinct().sortBy("first"))).toEqual([
      "Ada",
      "Alan",
      "Annabella",
      "Grace",
    ]);
    expect(firstNames(await friends.where("tags").startsWithIgnoreCase("COMP").toArray())).toEqual(["Grace"]);
    expect(await friends.orderBy("tags").uniqueKeys()).toEqual(["compilers", "engines", "machines", "maths"]);

    await friends
      .where("tags")
      .equals("maths")
      .modify({ tags: ["poetry"] });
    expect(await friends.where("tags").equals("maths").count()).toBe(0);
    expect(firstNames(await friends.where("tags").equals("poetry").toArray())).toEqual(["Ada", "Alan", "Annabella"]);
  });

  it("pages, filters and sorts by cursors", async () => {
    const { friends } = await openFriends(newPlace());
    await friends.bulkAdd(FRIENDS);
    expect(firstNames(await friends.orderBy("age").offset(1).limit(2).toArray())).toEqual(["Alan", "Annabella"]);
    expect(
      firstNames(
        await friends
          .where("age")
          .above(40)
          .filter(({ last }) => last !== "Hopper")
          .toArray(),
      ),
    ).toEqual(["Alan", "Annabella"]);
    expect(
      firstNames(
        await friends
          .where("age")
          .inAnyRange([
            [30, 40],
            [80, 90],
          ])
          .toArray(),
      ),
    ).toEqual(["Ada", "Grace"]);
    const until: string[] = [];
    await friends
      .orderBy("age")
      .until(({ age }) => age > 60)
      .each(({ first }) => void until.push(first));
    expect(until).toEqual(["Ada", "Alan"]);
    expect(await friends.orderBy("age").last()).toMatchObject({ first: "Grace" });
  });

  it("commits a transaction over several tables as one", async () => {
    const place = newPlace();
    const db = await dexieOn(place);
    db.version(1).stores({ accounts: "id", log: "++id" });
    await db.table("accounts").bulkAdd([
      { id: "a", balance: 10 },
      { id: "b", balance: 0 },
    ]);
    await db.transaction("rw", "accounts", "log", async () => {
      await db.table("accounts").update("a", { balance: 3 });
      await db.table("accounts").update("b", { balance: 7 });
      await db.transaction("rw", "log", () => db.table("log").add({ moved: 7 }));
    });
    db.close();

    const again = await dexieOn(place);
    await again.open();
    expect(await again.table("accounts").toArray()).toEqual([
      { id: "a", balance: 3 },
      { id: "b", balance: 7 },
    ]);
    expect(await again.table("log").toArray()).toEqual([{ id: 1, moved: 7 }]);
  });

  it("rolls a transaction back when its work throws, and when a request in it fails", async () => {
    const { db, friends } = await openFriends(newPlace());
    await friends.add({ ...FRIENDS[0], nick: "ada" } as Friend);
    const threw = db.transaction("rw", friends, async () => {
      await friends.clear();
      await friends.add({ first: "Nobody", last: "", age: 0 });
      throw new RangeError("changed my mind");
    });
    await expect(threw).rejects.toThrow(RangeError);
    const failed = db.transaction("rw", friends, async () => {
      await friends.update(1, { age: 37 });
      await friends.add({ ...FRIENDS[1], nick: "ada" } as Friend);
    });
    await expect(failed).rejects.toMatchObject({ name: "ConstraintError" });
    expect(await friends.toArray()).toEqual([{ ...FRIENDS[0], nick: "ada", id: 1 }]);
  });

  it("keeps a transaction whose failed request was caught inside it", async () => {
    const { db, friends } = await openFriends(newPlace());
    const outcome = await db.transaction("rw", friends, async () => {
      await friends.add({ ...FRIENDS[0], nick: "ada" } as Friend);
      const caught = await friends.add({ ...FRIENDS[1], nick: "ada" } as Friend).catch((error: Error) => error.name);
      await friends.add({ ...FRIENDS[2], nick: "annabella" } as Friend);
      return caught;
    });
    expect(outcome).toBe("ConstraintError");
    expect(firstNames(await friends.toArray())).toEqual(["Ada", "Annabella"]);
  });

  it("runs bulk operations, and says which of their records failed", async () => {
    const { friends } = await openFriends(newPlace());
    const ids = await friends.bulkAdd(FRIENDS, { allKeys: true });
    expect(ids).toEqual([1, 2, 3, 4]);
    const failed = await friends
      .bulkAdd([
        { id: 5, first: "Edsger", last: "Dijkstra", age: 72 },
        { id: 2, first: "Not", last: "Alan", age: 0 },
        { id: 6, first: "Barbara", last: "Liskov", age: 86 },
      ])
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Dexie.BulkError);
    const { failuresByPos } = failed as InstanceType<typeof Dexie.BulkError>;
    expect(Object.entries(failuresByPos).map(([position, { name }]) => [position, name])).toEqual([
      ["1", "ConstraintError"],
    ]);
    // Caught, or not within a transaction of the program's: the others are kept.
    expect(await friends.count()).toBe(6);

    await friends.bulkPut([
      { id: 6, first: "Barbara", last: "Liskov", age: 87 },
      { id: 7, first: "Donald", last: "Knuth", age: 88 },
    ]);
    await friends.bulkUpdate([{ key: 1, changes: { age: 37 } }]);
    await friends.bulkDelete([2, 3, 4, 5]);
    expect((await friends.bulkGet([1, 2, 6, 7])).map((friend) => friend?.age)).toEqual([37, undefined, 87, 88]);
  });

  it("runs a thousand records through one bulk operation", async () => {
    const place = newPlace();
    const { db, friends } = await openFriends(place);
    const many = Array.from({ length: 1_000 }, (_, n) => ({
      first: `n${n}`,
      last: "Many",
      age: n,
      tags: [`t${n % 7}`],
    }));
    await friends.bulkAdd(many);
    db.close();
    const again = await openFriends(place);
    expect(await again.friends.where("tags").equals("t3").count()).toBe(143);
    expect(await again.friends.where("age").between(100, 200).delete()).toBe(100);
    expect(await again.friends.count()).toBe(900);
  });

  it("tells live queries of the changes that touch them", async () => {
    const { friends } = await openFriends(newPlace());
    await friends.bulkAdd(FRIENDS);
    const { emissions, next } = emissionsOf(liveQuery(() => friends.where("age").above(60).sortBy("age")));
    expect(firstNames(await next())).toEqual(["Annabella", "Grace"]);
    await friends.add({ first: "Donald", last: "Knuth", age: 88 });
    expect(firstNames(await next())).toEqual(["Annabella", "Grace", "Donald"]);
    // Of another range: nothing is told of it, and the next emission is of the change after it.
    await friends.add({ first: "Young", last: "One", age: 1 });
    await friends.delete(4);
    expect(firstNames(await next())).toEqual(["Annabella", "Donald"]);
    expect(emissions).toHaveLength(3);
  });

  it("tells live queries of a transaction once it is committed, and never of one that is rolled back", async () => {
    const { db, friends } = await openFriends(newPlace());
    const { emissions, next } = emissionsOf(liveQuery(() => friends.count()));
    expect(await next()).toBe(0);
    await db.transaction("rw", friends, () => friends.bulkAdd(FRIENDS));
    expect(await next()).toBe(4);
    await db
      .transaction("rw", friends, async (transaction) => {
        await friends.clear();
        transaction.abort();
      })
      .catch(() => undefined);
    await friends.delete(1);
    expect(await next()).toBe(3);
    expect(emissions).toEqual([0, 4, 3]);
  });

  it("deletes a database", async () => {
    const place = newPlace();
    const { db, friends } = await openFriends(place);
    await friends.bulkAdd(FRIENDS);
    await db.delete();
    expect(await createIndexedDB(await place.open()).databases()).toEqual([]);
  });
});
