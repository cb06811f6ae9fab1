import type { IDBFactory } from "@holdfast/indexeddb";
import { DEVICE, type OpenEngine, type OpenIndexedDb, STORE_KEY, type Subject } from "./subject.ts";

/** Nothing is durable. */
const NOTHING_DURABLE = {
  commits: async () => 0,
  statements: async () => undefined,
  [Symbol.asyncDispose]: async () => {},
} as const;

/** `fake-indexeddb` in this process's globals, encrypted at rest as ours is: what people use. */
export async function olmMachineOnFakeIndexedDb(): Promise<Subject<OpenEngine>> {
  await import("fake-indexeddb/auto");
  const { DeviceId, initAsync, OlmMachine, StoreHandle, UserId } = await import("@matrix-org/matrix-sdk-crypto-wasm");
  await initAsync();
  return {
    ...NOTHING_DURABLE,
    async open() {
      const handle = await StoreHandle.openWithKey("bench", STORE_KEY);
      const machine = await OlmMachine.initFromStore(new UserId(DEVICE.userId), new DeviceId(DEVICE.deviceId), handle);
      return { machine, close: async () => machine.close() };
    },
  };
}

/** `fake-indexeddb` by itself. */
export async function fakeIndexedDb(): Promise<Subject<OpenIndexedDb>> {
  const fake = await import("fake-indexeddb");
  // Its types are those of browsers, and the interface is the same.
  const factory = new fake.IDBFactory() as unknown as IDBFactory;
  return { ...NOTHING_DURABLE, open: async () => ({ factory, close: async () => {} }) };
}
