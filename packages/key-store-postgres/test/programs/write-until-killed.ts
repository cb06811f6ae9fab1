import { PostgresKeyStore } from "../../src/index.ts";

// Writes commits of many records each, all of one generation, and tells of each that is durable, until it is killed.
const [url = "", bytes = "0"] = process.argv.slice(2);
const store = new PostgresKeyStore({ url, leaseMs: 200, schema: "killed" });
if (!(await store.init())) throw new Error(JSON.stringify(store.status));
const device = await store.openDevice({ userId: "@bot:example.org", deviceId: "KILLED" });
if (device === null) throw new Error("the store is not ready");
for (let generation = Number(device.revision) + 1; ; generation += 1) {
  const value = new Uint8Array(Number(bytes)).fill(generation);
  const keys = Array.from({ length: 50 }, (_, i) => Uint8Array.of(i));
  await device.commit(keys.map((key) => ({ type: "put", collection: "c", key, value })));
  process.stdout.write(`${device.revision}\n`);
}
