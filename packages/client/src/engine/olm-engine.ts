import { type DeviceStore, isKeyStoreError, KeyStoreError } from "@holdfast/key-store-core";
import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Globals } from "./globals.ts";
import { serialise } from "./serialise.ts";

/** A running crypto engine whose state is in a key store. Made by `openOlmMachine`. */
export interface OlmEngine extends AsyncDisposable {
  /**
   * The engine. Its asynchronous methods, and those of what it hands out, run
   * one at a time; each settles when everything it wrote is one durable commit.
   * What it returned may then leave the process, and not before. A call whose
   * commit failed rejects with the store's `KeyStoreError`, whatever the engine
   * itself made of the failure; the engine is then of no use any more.
   *
   * Give `receiveSyncChanges` one message between devices per call: of two
   * copies of a room key in one call it keeps the last, and what only the first
   * could read stays unreadable. Inside one {@link run} that is one commit all the same.
   */
  readonly machine: OlmMachine;

  /** The device's part of the key store: what is committed to it inside `run` is part of the same commit. */
  readonly deviceStore: DeviceStore;

  /**
   * Several calls as one: `work` gets the engine itself, and all that it and
   * the device store write meanwhile is one durable commit. Inside `work` use
   * what it is given, not {@link machine}, which would wait for itself. Nothing
   * that `work` got from the engine may leave the process before this resolves.
   *
   * @throws the store's `KeyStoreError`, and whatever `work` throws (what was
   * written until then is committed: the engine believes it written)
   */
  run<T>(work: (machine: OlmMachine) => Promise<T>): Promise<T>;

  /**
   * Waits for calls in flight, closes the engine and gives the device's lease
   * back. Idempotent. `machine.close()` begins the same and does not wait.
   *
   * @throws `ERR_KEY_STORE_INVALID_ARGUMENT` when called from inside `run`, which would wait for itself
   */
  close(): Promise<void>;
}

/** The {@link OlmEngine} over an open device store; `release` takes the engine's databases out of the process. */
export function olmEngine(
  machine: OlmMachine,
  deviceStore: DeviceStore,
  globals: Globals,
  release: () => Promise<void>,
): OlmEngine {
  let closing: Promise<void> | undefined;

  const batch = async <T>(call: () => Promise<T>): Promise<T> => {
    if (closing !== undefined) throw new KeyStoreError("ERR_KEY_STORE_CLOSED", "the crypto engine is closed");
    return deviceStore.batch(() => {
      globals.ensure();
      return call();
    });
  };

  const closeAll = async (): Promise<void> => {
    // Behind every call that was made before; a store that has failed has none left and takes none.
    await deviceStore.batch(async () => {}).catch(throwIfInsideCall);
    try {
      machine.close();
    } catch (error) {
      // The engine of a store that failed may hold on to a call that never ends.
      if (!deviceStore.failed.aborted) throw error;
    } finally {
      await release().finally(() => deviceStore.close());
    }
  };

  const engine: OlmEngine = {
    machine: serialise(machine, batch, () => void engine.close().catch(() => {})),
    deviceStore,
    run: (work) => batch(() => work(machine)),
    close() {
      closing ??= closeAll().catch((error) => {
        if (isKeyStoreError(error, "ERR_KEY_STORE_INVALID_ARGUMENT")) closing = undefined;
        throw error;
      });
      return closing;
    },
    [Symbol.asyncDispose]: () => engine.close(),
  };
  return engine;
}

/** A close that waits for the call that it was made from would never end; every other refusal says that no call is left. */
function throwIfInsideCall(error: unknown): void {
  if (isKeyStoreError(error, "ERR_KEY_STORE_INVALID_ARGUMENT")) throw error;
}
