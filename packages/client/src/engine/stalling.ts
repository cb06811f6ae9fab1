import type { DeviceStore } from "@holdfast/key-store-core";

/**
 * A device store as the engine sees it: what fails never answers. The engine
 * takes a read that failed for an answer, and goes on to a panic, which ends
 * the process; whoever called it is told by the batch, which ends with the
 * store's first failure.
 */
export function stalling(store: DeviceStore): DeviceStore {
  const stall = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (!store.failed.aborted) throw error;
      return new Promise<never>(() => {});
    }
  };
  return {
    device: store.device,
    get epoch() {
      return store.epoch;
    },
    get revision() {
      return store.revision;
    },
    failed: store.failed,
    get: (collection, key) => stall(store.get(collection, key)),
    getMany: (collection, keys) => stall(store.getMany(collection, keys)),
    list: (collection, range, page) => stall(store.list(collection, range, page)),
    count: (collection, range) => stall(store.count(collection, range)),
    commit: (changes) => stall(store.commit(changes)),
    batch: (work) => store.batch(work),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}
