import { DeviceId, initAsync, OlmMachine, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { DEVICE, type OpenEngine, type Subject } from "./subject.ts";

/** The engine's own store in memory, written in Rust, without IndexedDB: the floor. What it holds is gone when it closes. */
export async function inMemorySubject(): Promise<Subject<OpenEngine>> {
  await initAsync();
  return {
    async open() {
      const machine = await OlmMachine.initialize(new UserId(DEVICE.userId), new DeviceId(DEVICE.deviceId));
      return { machine, close: async () => machine.close() };
    },
    commits: async () => 0,
    statements: async () => undefined,
    [Symbol.asyncDispose]: async () => {},
  };
}
