import type { Change, DeviceRef, DeviceStore, KeyStore } from "@holdfast/key-store-core";

/** Everything that a device has in a store, to begin from it again and again. */
export type Snapshot = readonly Change[];

const PAGE = 1_000;

/** Reads a device that nobody has open. */
export async function takeSnapshot(keyStore: KeyStore, device: DeviceRef): Promise<Snapshot> {
  await using store = await opened(keyStore, device);
  const { usage } = await keyStore.stats();
  if (usage === undefined) throw new Error("the store cannot say what it holds");
  const changes: Change[] = [];
  for (const { collection } of usage.collections) {
    const records = await store.list(collection, {}, { limit: PAGE });
    if (records.length === PAGE) throw new Error(`${collection} is larger than a page`);
    changes.push(...records.map((record): Change => ({ type: "put", collection, ...record })));
  }
  return changes;
}

/** Puts a device back to what it was, in the place of what it became; an empty snapshot leaves no device. */
export async function restore(keyStore: KeyStore, device: DeviceRef, snapshot: Snapshot): Promise<void> {
  await keyStore.deleteDevice(device);
  if (snapshot.length === 0) return;
  await using store = await opened(keyStore, device);
  await store.commit(snapshot);
}

async function opened(keyStore: KeyStore, device: DeviceRef): Promise<DeviceStore> {
  const store = await keyStore.openDevice(device);
  if (store === null) throw new Error("the key store is not ready");
  return store;
}
