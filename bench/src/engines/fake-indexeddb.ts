import { DeviceId, initAsync, OlmMachine, StoreHandle, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { DEVICE, STORE_KEY, type Subject } from "./subject.ts";

/** `fake-indexeddb` in this process's globals, encrypted at rest as ours is: what people use. Nothing is durable. */
export async function fakeIndexedDbSubject(): Promise<Subject> {
  await import("fake-indexeddb/auto");
  await initAsync();
  return {
    async open() {
      const handle = await StoreHandle.openWithKey("bench", STORE_KEY);
      const machine = await OlmMachine.initFromStore(new UserId(DEVICE.userId), new DeviceId(DEVICE.deviceId), handle);
      return { machine, close: async () => machine.close() };
    },
    commits: async () => 0,
    statements: async () => undefined,
    [Symbol.asyncDispose]: async () => {},
  };
}
