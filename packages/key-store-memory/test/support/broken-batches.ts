import { AsyncLocalStorage } from "node:async_hooks";
import { type Change, type DeviceStore, isKeyStoreError, KeyStoreError } from "@holdfast/key-store-core";
import type { BrokenStore } from "./broken.ts";

const POISONS = "a list that fails for good throws and poisons, and never answers as if nothing were stored";
const CLOSED = "a device store that is closed throws ERR_KEY_STORE_CLOSED from every method";

/** Calls something as if nobody had called its caller. */
const outside = AsyncLocalStorage.snapshot();

/** A batch whose commits are kept in a list until `finish` says what becomes of them. */
function batching(
  inner: DeviceStore,
  finish: (work: PromiseSettledResult<unknown>, written: Change[]) => Promise<void>,
): Partial<DeviceStore> {
  let written: Change[] | undefined;
  return {
    async commit(changes) {
      if (written === undefined) await inner.commit(changes);
      else written = [...written, ...changes];
    },
    async batch(work) {
      written = [];
      const [outcome] = await Promise.allSettled([work()]);
      const changes = written;
      written = undefined;
      await finish(outcome, changes);
      if (outcome.status === "rejected") throw outcome.reason;
      return outcome.value;
    },
  };
}

/** Batches that run inside the one that runs already. */
function joining(inner: DeviceStore): Partial<DeviceStore> {
  let running = false;
  return {
    async batch(work) {
      if (running) return work();
      running = true;
      try {
        return await inner.batch(work);
      } finally {
        running = false;
      }
    },
  };
}

/** Stores that batch, fail, judge arguments or end wrongly. */
export const brokenBatches: readonly BrokenStore[] = [
  {
    that: "makes each commit of a batch durable by itself",
    caughtBy: "a batch is one revision, and answers as its work does",
    deviceStore: () => ({ batch: (work) => work() }),
  },
  {
    that: "does not show a batch what was committed in it",
    caughtBy: "reads, lists and counts inside a batch see what was committed in it",
    deviceStore: (inner) => batching(inner, (_, written) => inner.commit(written)),
  },
  {
    that: "discards a batch whose work rejects",
    caughtBy: "work that rejects still commits what it wrote, and its reason is passed on",
    deviceStore: (inner) =>
      batching(inner, async (outcome, written) => {
        if (outcome.status === "fulfilled") await inner.commit(written);
      }),
  },
  {
    that: "commits a batch that wrote nothing",
    caughtBy: "a batch that commits nothing moves nothing",
    deviceStore: (inner) =>
      batching(inner, (_, written) =>
        inner.commit([...written, { type: "dropCollection", collection: "nothing was here" }]),
      ),
  },
  {
    that: "swallows what the work of a batch rejects with",
    caughtBy: "work that rejects still commits what it wrote, and its reason is passed on",
    deviceStore: (inner) => ({ batch: (work) => inner.batch(() => work().catch(() => undefined as never)) }),
  },
  {
    that: "keeps the first half of a batch when the store fails",
    caughtBy: "a store failure discards the whole batch and poisons",
    deviceStore: (inner) =>
      batching(inner, async (_, written) => {
        await inner.commit(written.slice(0, 1)).catch(() => {});
        await inner.commit(written.slice(1)).catch(() => {});
      }),
  },
  {
    that: "waits for work that a failure has left without an end",
    caughtBy: "a batch ends with the store's failure, though its work never settles",
    deviceStore: (inner) => ({
      async batch(work) {
        const running = Promise.withResolvers<void>();
        const outcome = inner.batch(() => work().finally(running.resolve));
        outcome.catch(() => {});
        await running.promise;
        return outcome;
      },
    }),
  },
  {
    that: "lets batches run at once",
    caughtBy: "batches begun at once run one after another, in their order",
    deviceStore: joining,
  },
  {
    that: "lets a commit overtake a batch that is ending",
    caughtBy: "a commit made while a batch is ending comes after it, and before the batch that follows",
    deviceStore(inner) {
      let reading: Promise<unknown> = Promise.resolve();
      return {
        ...batching(inner, async (_, written) => {
          await reading;
          await inner.commit(written);
        }),
        get(collection, key) {
          const read = inner.get(collection, key);
          reading = read;
          return read;
        },
      };
    },
  },
  {
    that: "does not see that a batch is inside another one",
    caughtBy: "a batch in the batch of another device that is in one of its own is refused, and so is closing",
    deviceStore: (inner) => ({ batch: (work) => outside(() => inner.batch(work)) }),
  },
  {
    that: "takes a batch in a batch",
    caughtBy: "a batch inside a batch is refused, and the outer one goes on",
    deviceStore: joining,
  },
  {
    that: "does not signal that it is poisoned",
    caughtBy: POISONS,
    deviceStore: () => ({ failed: new AbortController().signal }),
  },
  {
    that: "does not tell what poisoned it",
    caughtBy: POISONS,
    deviceStore: (inner) => ({
      get: (collection, key) =>
        inner.get(collection, key).catch((error: unknown) => {
          throw new KeyStoreError(isKeyStoreError(error) ? error.code : "ERR_KEY_STORE_CORRUPT", "failed");
        }),
    }),
  },
  {
    that: "reads on after it is poisoned",
    caughtBy: POISONS,
    deviceStore: (inner) => ({
      get: (collection, key) =>
        inner.get(collection, key).catch((error: unknown) => {
          if (isKeyStoreError(error, "ERR_KEY_STORE_POISONED")) return undefined;
          throw error;
        }),
    }),
  },
  {
    that: "is poisoned by an invalid argument",
    caughtBy: "collection names, keys, ranges and pages outside the contract are refused and do not poison",
    deviceStore(inner) {
      const failed = new AbortController();
      return {
        failed: failed.signal,
        get: (collection, key) =>
          inner.get(collection, key).catch((error: unknown) => {
            failed.abort(error);
            throw error;
          }),
      };
    },
  },
  {
    that: "fails by accident where it is given no changes",
    caughtBy: "options, lists and work that are none are refused and do not poison",
    deviceStore: (inner) => ({ commit: async (changes) => inner.commit([...changes]) }),
  },
  {
    that: "takes gt with gte",
    caughtBy: "collection names, keys, ranges and pages outside the contract are refused and do not poison",
    deviceStore: (inner) => ({
      list: (collection, { gt, ...range }, page) =>
        inner.list(collection, range.gte === undefined ? { gt, ...range } : range, page),
    }),
  },
  {
    that: "takes a limit of zero for an empty page",
    caughtBy: "collection names, keys, ranges and pages outside the contract are refused and do not poison",
    deviceStore: (inner) => ({
      list: async (collection, range, page) => (page?.limit === 0 ? [] : inner.list(collection, range, page)),
    }),
  },
  {
    that: "throws instead of rejecting",
    caughtBy: "collection names, keys, ranges and pages outside the contract are refused and do not poison",
    deviceStore: (inner) => ({
      get(collection, key) {
        if (collection === "") throw new KeyStoreError("ERR_KEY_STORE_INVALID_ARGUMENT", "a name is not empty");
        return inner.get(collection, key);
      },
    }),
  },
  {
    that: "closes without waiting for work in flight",
    caughtBy: "closing waits for a commit in flight",
    deviceStore: (inner) => ({
      async close() {
        inner.close().catch(() => {});
      },
    }),
  },
  {
    that: "refuses at its end what began before it was closed",
    caughtBy: "a read that waits for the end of a batch is answered, though the store is closed meanwhile",
    deviceStore(inner) {
      let closed = false;
      return {
        async get(collection, key) {
          const value = await inner.get(collection, key);
          if (closed) throw new KeyStoreError("ERR_KEY_STORE_CLOSED", "closed meanwhile");
          return value;
        },
        close() {
          closed = true;
          return inner.close();
        },
      };
    },
  },
  {
    that: "throws when it is closed twice",
    caughtBy: CLOSED,
    deviceStore(inner) {
      let closed = false;
      return {
        async close() {
          if (closed) throw new KeyStoreError("ERR_KEY_STORE_CLOSED", "closed already");
          closed = true;
          await inner.close();
        },
      };
    },
  },
  {
    that: "answers a closed device store's reads as if nothing were stored",
    caughtBy: CLOSED,
    deviceStore: (inner) => ({
      get: (collection, key) =>
        inner.get(collection, key).catch((error: unknown) => {
          if (isKeyStoreError(error, "ERR_KEY_STORE_CLOSED")) return undefined;
          throw error;
        }),
    }),
  },
  {
    that: "leaves its device stores open when it is closed",
    caughtBy: "closing the key store closes its device stores and gives their leases back",
    store: () => ({ async close() {} }),
  },
];
