import { DeviceId, initAsync, OlmMachine, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";

/** The public half of a device's identity, in unpadded base64. */
export interface Identity {
  readonly curve25519: string;
  readonly ed25519: string;
}

/** Whether both are there, and the same. */
export function sameIdentity(one: Identity | undefined, other: Identity | undefined): boolean {
  return one !== undefined && one.ed25519 === other?.ed25519 && one.curve25519 === other.curve25519;
}

/** Whoever holds a crypto engine. */
export interface Engine {
  /**
   * Runs work on the engine while no other work does. Where the engine keeps
   * its state, that of the whole work is durable once this has resolved.
   */
  run<T>(work: (machine: OlmMachine) => Promise<T>): Promise<T>;
}

/** Runs work on a machine in the order it comes; the state is what the machine makes of it. */
export function inOrder(machine: OlmMachine): Engine {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run: (work) => {
      const result = last.then(() => work(machine));
      last = result.catch(() => undefined);
      return result;
    },
  };
}

/** A new engine that keeps its state in this process's memory: the engine's own store, without IndexedDB. */
export async function inMemoryEngine(userId: string, deviceId: string): Promise<Engine> {
  await initAsync();
  return inOrder(await OlmMachine.initialize(new UserId(userId), new DeviceId(deviceId)));
}

/** The identity that an engine has. */
export function identityOf(engine: Engine): Promise<Identity> {
  return engine.run(async ({ identityKeys }) => ({
    curve25519: identityKeys.curve25519.toBase64(),
    ed25519: identityKeys.ed25519.toBase64(),
  }));
}
