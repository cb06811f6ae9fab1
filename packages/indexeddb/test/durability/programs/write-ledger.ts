/** Writes one generation of a ledger after the other, and tells of each once `complete` has fired, until it is killed. */
import { createIndexedDB, IDBKeyRange, type IDBObjectStore } from "../../../src/index.ts";
import { completionOf, resultOf } from "../../support/requests.ts";
import { openLedger, RECORDS } from "../ledger.ts";
import { say } from "../say.ts";
import { openDevice, type Storage } from "../storage.ts";

const { storage, bytes } = JSON.parse(process.argv[2] ?? "") as { storage: Storage; bytes: number };
const { device } = await openDevice(storage);
const database = await openLedger(createIndexedDB(device));

function write(state: IDBObjectStore, log: IDBObjectStore, generation: number): void {
  for (let id = 0; id < RECORDS; id += 1) state.put({ id, generation, payload: new Uint8Array(bytes) });
  log.delete(IDBKeyRange.upperBound(generation));
  log.add({ generation });
}

const [last = 0]: number[] = await resultOf(database.transaction("log").objectStore("log").getAllKeys());
for (let generation = last + 1; ; generation += 1) {
  const aborted = database.transaction(["state", "log"], "readwrite");
  write(aborted.objectStore("state"), aborted.objectStore("log"), -generation);
  const aborting = completionOf(aborted).catch(() => undefined);
  aborted.abort();
  await aborting;
  const transaction = database.transaction(["state", "log"], "readwrite");
  write(transaction.objectStore("state"), transaction.objectStore("log"), generation);
  await completionOf(transaction);
  say(generation);
}
