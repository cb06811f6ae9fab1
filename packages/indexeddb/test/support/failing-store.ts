import { type DeviceStore, type KeyStore, KeyStoreError } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { openDevice, withMethods } from "./stores.ts";

/** What the store fails with, first. */
export const gone = new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the database is gone");

/** How a store fails: from now on it rejects all, or first a commit, which it applies and yet knows nothing of. */
export type Failure = "everything" | "a commit that was applied";

/** A device store that can be made to fail as one does whose database is gone, and the device in it opened again. */
export class FailingStore {
  readonly store: DeviceStore;
  readonly #keyStore: KeyStore;
  readonly #inner: DeviceStore;
  readonly #failed = new AbortController();
  #failure: Failure | undefined;
  /** Waited for before each read, where there is any. */
  #held: Promise<void> | undefined;

  private constructor(keyStore: KeyStore, inner: DeviceStore) {
    this.#keyStore = keyStore;
    this.#inner = inner;
    const read = async <T>(reading: () => Promise<T>): Promise<T> => {
      await this.#held;
      if (this.#failure === "everything") throw this.#fail();
      return reading();
    };
    this.store = withMethods(inner, {
      failed: this.#failed.signal,
      getMany: (collection, keys) => read(() => inner.getMany(collection, keys)),
      list: (collection, range, page) => read(() => inner.list(collection, range, page)),
      count: (collection, range) => read(() => inner.count(collection, range)),
      commit: async (changes) => {
        if (this.#failure === "a commit that was applied") await inner.commit(changes);
        if (this.#failure !== undefined) throw this.#fail();
        return inner.commit(changes);
      },
    });
  }

  static async open(): Promise<FailingStore> {
    const keyStore = new MemoryKeyStore();
    return new FailingStore(keyStore, await openDevice(keyStore));
  }

  /** Fails at the next operation. */
  fail(failure: Failure = "everything"): void {
    this.#failure = failure;
  }

  /** Is known to have failed, whatever is under way. */
  failNow(): void {
    this.#failure = "everything";
    this.#fail();
  }

  /** Lets reads wait; what it answers lets them go on. */
  holdReads(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return resolve;
  }

  /** The same device, opened again. */
  async reopened(): Promise<DeviceStore> {
    await this.#inner.close();
    return openDevice(this.#keyStore);
  }

  #fail(): KeyStoreError {
    if (this.#failed.signal.aborted) return new KeyStoreError("ERR_KEY_STORE_POISONED", "it failed", { cause: gone });
    this.#failed.abort(gone);
    return gone;
  }
}
