import type { IDBCursorWithValue, IDBRequest } from "@holdfast/indexeddb";
import type { Workload } from "../workload.ts";
import { completed, type Database, INDEX, succeeded } from "./database.ts";
import { expectRecords } from "./gets.ts";
import type { BenchRecord } from "./records.ts";

/** All records by one request. */
export const getAll: Workload<Database> = async (database, { sizes }) => {
  const wanted = await database.fill(sizes.records);
  let read: BenchRecord[] = [];
  return {
    calls: 1,
    async run() {
      read = (await succeeded(database.readFilled().objectStore("filled").getAll())) as BenchRecord[];
    },
    check: async () => expectRecords(read, wanted),
  };
};

/** A cursor over the object store. */
export const cursor: Workload<Database> = async (database, { sizes }) => {
  const wanted = await database.fill(sizes.records);
  return walk(database, wanted, (store) => store.openCursor());
};

/** A cursor over the object store's index, with the records that it refers to. */
export const indexScan: Workload<Database> = async (database, { sizes }) => {
  const wanted = await database.fill(sizes.records);
  // Within a group, the order of the ids is that of the records.
  const inOrder = wanted.toSorted((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0));
  return walk(database, inOrder, (store) => store.index(INDEX).openCursor());
};

type FilledStore = ReturnType<ReturnType<Database["readFilled"]>["objectStore"]>;

function walk(
  database: Database,
  wanted: readonly BenchRecord[],
  open: (store: FilledStore) => IDBRequest,
): Awaited<ReturnType<Workload<Database>>> {
  const read: BenchRecord[] = [];
  return {
    calls: wanted.length + 1,
    async run() {
      const transaction = database.readFilled();
      const request = open(transaction.objectStore("filled"));
      request.onsuccess = () => {
        const at = request.result as IDBCursorWithValue | null;
        if (at === null) return;
        read.push(at.value as BenchRecord);
        at.continue();
      };
      await completed(transaction);
    },
    check: async () => expectRecords(read, wanted),
  };
}
