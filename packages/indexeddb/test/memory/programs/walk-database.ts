/** Walks over all of a database by cursors, and says how many bytes were in use at the most. Needs `--expose-gc`. */
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { createIndexedDB, type IDBCursor, type IDBIndex, type IDBObjectStore } from "../../../src/index.ts";
import { say } from "../../durability/say.ts";
import { openDatabase } from "../../support/requests.ts";
import { bytesInUse } from "./bytes-in-use.ts";

const { path, cacheBytes } = JSON.parse(process.argv[2] ?? "") as { path: string; cacheBytes?: number };
/** How many records are walked over between two looks at the memory. */
const LOOK_EVERY = 20_000;
let most = 0;

/** Walks to the end; answers with the number of records. */
function walk(source: IDBObjectStore | IDBIndex): Promise<number> {
  return new Promise((resolve, reject) => {
    let records = 0;
    const request = source.openCursor();
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result as IDBCursor | null;
      if (records % LOOK_EVERY === 0) most = Math.max(most, bytesInUse());
      if (cursor === null) {
        resolve(records);
        return;
      }
      records += 1;
      cursor.continue();
    };
  });
}

const keyStore = new SqliteKeyStore({ path, cacheBytes });
await keyStore.init();
const device = await keyStore.openDevice({ userId: "@bot:example.org", deviceId: "JLAFKJWSCS" });
if (device === null) throw new Error("the store is not ready");
const database = await openDatabase(createIndexedDB(device), "database");
const records = await walk(database.transaction("records").objectStore("records"));
const indexed = await walk(database.transaction("records").objectStore("records").index("group"));
database.close();
await keyStore.close();
say({ records, indexed, bytes: most, peakRss: process.resourceUsage().maxRSS * 1_024 });
