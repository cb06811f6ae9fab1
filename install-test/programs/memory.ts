import { MemoryKeyStore } from "@holdfast/key-store-memory";

export async function main(): Promise<unknown> {
  const keyStore = new MemoryKeyStore();
  const ready = await keyStore.init();
  const device = await keyStore.openDevice({ userId: "@bot:example.org", deviceId: "BOT" });
  await device?.commit([{ type: "put", collection: "notes", key: Buffer.from("a"), value: Buffer.from("kept") }]);
  const value = await device?.get("notes", Buffer.from("a"));
  await device?.close();
  await keyStore.close();
  return { ready, kind: keyStore.kind, persistence: keyStore.persistence, value: Buffer.from(value ?? []).toString() };
}
