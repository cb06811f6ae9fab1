/** Upgrades a database to one version after the other, and tells of each that is open, until it is killed. */
import { createIndexedDB } from "../../../src/index.ts";
import { openDatabase } from "../../support/requests.ts";
import { say } from "../say.ts";
import { openDevice, type Storage } from "../storage.ts";

const { storage } = JSON.parse(process.argv[2] ?? "") as { storage: Storage };
const { device } = await openDevice(storage);
const factory = createIndexedDB(device);
const last = (await factory.databases())[0]?.version ?? 0;
for (let version = last + 1; ; version += 1) {
  const database = await openDatabase(factory, "upgraded", version, (upgraded) => {
    for (const name of upgraded.objectStoreNames) upgraded.deleteObjectStore(name);
    const store = upgraded.createObjectStore(`version ${version}`, { autoIncrement: true });
    for (let n = 0; n < 30; n += 1) store.add({ n, version });
    // Filled from the records that are there already.
    store.createIndex("n", ["version", "n"]);
  });
  database.close();
  say(version);
}
