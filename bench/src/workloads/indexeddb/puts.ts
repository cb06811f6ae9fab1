import { expectEqual, type Workload } from "../workload.ts";
import { completed, type Database, succeeded } from "./database.ts";
import { records } from "./records.ts";

/** New records in one transaction, until it is complete. */
export const puts: Workload<Database> = async (database, { sizes }) => {
  const values = records(sizes.records);
  return {
    calls: values.length,
    async run() {
      const transaction = database.writeEmpty();
      const store = transaction.objectStore("empty");
      for (const value of values) store.put(value);
      await completed(transaction);
    },
    async check() {
      const store = database.writeEmpty().objectStore("empty");
      expectEqual("records in the object store", (await succeeded(store.count())) as number, values.length);
    },
  };
};
