import { expectEqual, type Workload } from "../workload.ts";
import { completed, type Database, succeeded } from "./database.ts";
import { type BenchRecord, scattered } from "./records.ts";

/** Records one by one, all asked for at once in one transaction, until it is complete. */
export const gets: Workload<Database> = async (database, { sizes }) => {
  const wanted = scattered(await database.fill(sizes.records));
  const read: BenchRecord[] = [];
  return {
    calls: wanted.length,
    async run() {
      const transaction = database.readFilled();
      const store = transaction.objectStore("filled");
      for (const { id } of wanted) {
        const request = store.get(id);
        request.onsuccess = () => read.push(request.result as BenchRecord);
      }
      await completed(transaction);
    },
    check: async () => expectRecords(read, wanted),
  };
};

/** Records one by one, each awaited before the next is asked for in a transaction of its own. */
export const getsApart: Workload<Database> = async (database, { sizes }) => {
  const wanted = scattered(await database.fill(sizes.records));
  const read: BenchRecord[] = [];
  return {
    calls: wanted.length,
    async run() {
      for (const { id } of wanted) {
        read.push((await succeeded(database.readFilled().objectStore("filled").get(id))) as BenchRecord);
      }
    },
    check: async () => expectRecords(read, wanted),
  };
};

/** Throws unless these records were read, in this order. */
export function expectRecords(read: readonly BenchRecord[], wanted: readonly BenchRecord[]): void {
  expectEqual("records read", JSON.stringify(read), JSON.stringify(wanted));
}
