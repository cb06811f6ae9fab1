import type { Change } from "@holdfast/key-store-core";
import Database from "better-sqlite3";
import fc from "fast-check";
import { expect, it } from "vitest";
import { openDevice, readyStore } from "./devices.ts";
import { newPath } from "./place.ts";

const collection = fc.constantFrom("sessions", "olm", "☃");
const key = fc.uint8Array({ maxLength: 2, max: 3 });
const value = fc.uint8Array({ maxLength: 40 });
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant("put" as const), collection, key, value }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("delete" as const), collection, key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("deleteRange" as const),
      collection,
      range: fc.record({ gte: key, lt: key }, { requiredKeys: [] }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("dropCollection" as const), collection }) },
);

it("keeps counters that equal a scan of the records, whatever is committed", async () => {
  const path = newPath();
  const store = await readyStore(path);
  const device = await openDevice(store);
  const scan = new Database(path, { readonly: true });
  const counted = scan.prepare(
    `select collection.name as collection, count(*) as records, sum(length(key) + length(value)) as bytes
     from record join collection on collection.id = record.collection
     group by collection.id order by collection.name`,
  );
  const orphans = scan
    .prepare("select count(*) from record where collection not in (select id from collection)")
    .pluck();
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 30 }), async (changes) => {
      await device.commit(changes);
      expect((await store.stats()).usage?.collections).toEqual(counted.all());
      expect(orphans.get()).toBe(0);
    }),
    { numRuns: 200 },
  );
  scan.close();
});
