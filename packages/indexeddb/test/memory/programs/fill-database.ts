/** Makes a database of so many records in a SQLite key store, and says so when it is done. */
import { createIndexedDB } from "../../../src/index.ts";
import { say } from "../../durability/say.ts";
import { openDevice } from "../../durability/storage.ts";
import { completionOf, openDatabase } from "../../support/requests.ts";

const { path, records } = JSON.parse(process.argv[2] ?? "") as { path: string; records: number };
const { device, keyStore } = await openDevice({ kind: "SQLite", path });
const database = await openDatabase(createIndexedDB(device), "database", 1, (upgraded) => {
  upgraded.createObjectStore("records").createIndex("group", "group");
});
const PER_TRANSACTION = 20_000;
for (let from = 0; from < records; from += PER_TRANSACTION) {
  const transaction = database.transaction("records", "readwrite", { durability: "relaxed" });
  const store = transaction.objectStore("records");
  for (let n = from; n < Math.min(records, from + PER_TRANSACTION); n += 1) {
    store.put({ n, group: n % 1_000, text: `the text of record ${n}` }, n);
  }
  await completionOf(transaction);
}
database.close();
await keyStore.close();
say(records);
