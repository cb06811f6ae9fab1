/** Runs transactions in this process, and says how many bytes are in use before and after. Needs `--expose-gc`. */
import { setImmediate as turn } from "node:timers/promises";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { createIndexedDB, IDBKeyRange } from "../../../src/index.ts";
import { say } from "../../durability/say.ts";
import { completionOf, openDatabase, resultOf } from "../../support/requests.ts";
import { bytesInUse } from "./bytes-in-use.ts";

const { transactions, warmUp } = JSON.parse(process.argv[2] ?? "") as { transactions: number; warmUp: number };
const keyStore = new MemoryKeyStore();
await keyStore.init();
const device = await keyStore.openDevice({ userId: "@bot:example.org", deviceId: "JLAFKJWSCS" });
if (device === null) throw new Error("the store is not ready");
const factory = createIndexedDB(device);
const database = await openDatabase(factory, "database", 1, (upgraded) => {
  upgraded.createObjectStore("records").createIndex("n", "n");
  upgraded.createObjectStore("log", { autoIncrement: true });
});

/** Five transactions of different kinds and ends; what is stored stays as much as it is. */
async function five(n: number): Promise<void> {
  const key = n % 100;
  const writing = database.transaction("records", "readwrite");
  writing.objectStore("records").put({ n, text: "some text" }, key);
  await completionOf(writing);
  await resultOf(database.transaction("records").objectStore("records").get(key));
  await resultOf(database.transaction("records").objectStore("records").index("n").openCursor());
  const aborted = database.transaction(["records", "log"], "readwrite");
  const ended = completionOf(aborted).catch(() => undefined);
  const failing = resultOf(aborted.objectStore("records").add("taken", key)).catch(() => undefined);
  await Promise.all([failing, ended]);
  const logging = database.transaction("log", "readwrite");
  logging.objectStore("log").delete(IDBKeyRange.upperBound(n / 5 - 10));
  logging.objectStore("log").add({ n });
  await completionOf(logging);
  // Connections come and go as well, though not as often.
  if (n % 1_000 === 0) (await openDatabase(factory, "database")).close();
}

async function bytesAfter(from: number, to: number): Promise<number> {
  for (let n = from; n < to; n += 5) await five(n);
  // Twice: what finalizers let go of is gone only with the second collection.
  bytesInUse();
  await turn();
  return bytesInUse();
}

// What the start of a process leaves behind is let go of after the first look only: it must not hide a growth.
await bytesAfter(0, warmUp);
const before = await bytesAfter(warmUp, 2 * warmUp);
const after = await bytesAfter(2 * warmUp, 2 * warmUp + transactions);
say({ before, after });
database.close();
await keyStore.close();
