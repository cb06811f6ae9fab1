// A thread of its own, with a key store in it: says how opening the device ends that another thread has open.
import { parentPort, workerData } from "node:worker_threads";
import { isKeyStoreError } from "@holdfast/key-store-core";
import { SqliteKeyStore } from "../src/index.ts";

const store = new SqliteKeyStore(workerData as string);
await store.init();
const opening = store.openDevice({ userId: "@bot:example.org", deviceId: "JLAFKJWSCS" }, { lease: "fail" });
const outcome = await opening.then(
  () => "opened",
  (error: unknown) => (isKeyStoreError(error) ? error.code : String(error)),
);
await store.close();
parentPort?.postMessage(outcome);
