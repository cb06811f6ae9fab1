import type { DeviceStore, KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { onTestFinished } from "vitest";

/** Opens a device in a key store, which is closed when the test is over. */
export async function openDevice(keyStore: KeyStore = new MemoryKeyStore()): Promise<DeviceStore> {
  onTestFinished(() => keyStore.close());
  if (!(await keyStore.init())) throw new Error(`the key store is not ready: ${JSON.stringify(keyStore.status)}`);
  const store = await keyStore.openDevice({ userId: "@test:example.org", deviceId: "TEST" });
  if (store === null) throw new Error("the device was not opened");
  return store;
}

/** A device store with some of its methods replaced. One whose reads are replaced knows nothing without them. */
export function withMethods(store: DeviceStore, methods: Partial<DeviceStore>): DeviceStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === "peek" && "getMany" in methods) return undefined;
      const value: unknown = Reflect.get(name in methods ? methods : target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
