import { SqliteKeyStore } from "@holdfast/key-store-sqlite";

/** Counts how often it has run, in the store. */
export async function main(): Promise<unknown> {
  const keyStore = new SqliteKeyStore({ path: "keys.sqlite" });
  const ready = await keyStore.init();
  const device = await keyStore.openDevice({ userId: "@bot:example.org", deviceId: "BOT" });
  const key = Buffer.from("runs");
  const runs = Number(Buffer.from((await device?.get("notes", key)) ?? []).toString()) + 1;
  await device?.commit([{ type: "put", collection: "notes", key, value: Buffer.from(String(runs)) }]);
  await device?.close();
  await keyStore.close();
  return { ready, kind: keyStore.kind, persistence: keyStore.persistence, runs };
}
