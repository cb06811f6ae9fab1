import {
  type ByteRange,
  compareBytes,
  type Page,
  type StoredRecord,
  successor,
  toText,
} from "@holdfast/key-store-core";
import type { BrokenStore } from "./broken.ts";

const ALL: ByteRange = { start: new Uint8Array(0), end: undefined };
const WHOLE: Page = { limit: Number.MAX_SAFE_INTEGER };

const ORDER = "records are listed in the order of their bytes, unsigned, shorter first";
const RANGES = "ranges open and closed on either end hold what they say";
const LIMIT = "a limit takes the first records of a range, or the last ones in reverse";
const GET_MANY = "getMany answers in the order of its keys, with repeats and gaps";
const LONGEST = "keys of the greatest length are kept whole and told apart by their last byte";
const SEES = "a read sees every commit that has resolved, whatever was read before";

function signed(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const difference = (((a[at] ?? 0) << 24) >> 24) - (((b[at] ?? 0) << 24) >> 24);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function inOrder(order: (a: Uint8Array, b: Uint8Array) => number): NonNullable<BrokenStore["device"]> {
  return (inner) => ({
    async list(collection, range, page) {
      const records = await inner.list(collection, range, WHOLE);
      records.sort((a, b) => order(a.key, b.key) * (page.reverse ? -1 : 1));
      return records.slice(0, page.limit);
    },
  });
}

/** Stores that read wrongly. */
export const brokenReads: readonly BrokenStore[] = [
  { that: "orders by signed bytes", caughtBy: ORDER, device: inOrder(signed) },
  {
    that: "orders shorter keys before longer ones, whatever their bytes",
    caughtBy: ORDER,
    device: inOrder((a, b) => a.length - b.length || compareBytes(a, b)),
  },
  {
    that: "takes lt for lte",
    caughtBy: RANGES,
    device: (inner) => ({
      list: (collection, { start, end }, page) => inner.list(collection, { start, end: end && successor(end) }, page),
    }),
  },
  {
    that: "takes gte for gt",
    caughtBy: RANGES,
    device: (inner) => ({
      list: (collection, { start, end }, page) => inner.list(collection, { start: successor(start), end }, page),
    }),
  },
  {
    that: "counts lt as lte",
    caughtBy: RANGES,
    device: (inner) => ({
      count: (collection, { start, end }) => inner.count(collection, { start, end: end && successor(end) }),
    }),
  },
  {
    that: "counts a collection whatever the range",
    caughtBy: RANGES,
    device: (inner) => ({ count: (collection) => inner.count(collection, ALL) }),
  },
  {
    that: "returns one record more than the limit",
    caughtBy: LIMIT,
    device: (inner) => ({
      list: (collection, range, page) => inner.list(collection, range, { ...page, limit: page.limit + 1 }),
    }),
  },
  {
    that: "returns one record less than the limit",
    caughtBy: LIMIT,
    device: (inner) => ({
      list: async (collection, range, page) => (await inner.list(collection, range, page)).slice(0, page.limit - 1),
    }),
  },
  {
    that: "ignores reverse",
    caughtBy: "in reverse a range is the same, from its end",
    device: (inner) => ({
      list: (collection, range, page) => inner.list(collection, range, { ...page, reverse: false }),
    }),
  },
  {
    that: "in reverse turns the first page round, instead of taking the last one",
    caughtBy: LIMIT,
    device: (inner) => ({
      async list(collection, range, page) {
        const records = await inner.list(collection, range, { ...page, reverse: false });
        return page.reverse ? records.reverse() : records;
      },
    }),
  },
  {
    that: "repeats the last record of a page at the beginning of the next",
    caughtBy: "paging walks every record once, forwards and backwards",
    device: (inner) => ({
      list: (collection, { start, end }, page) =>
        inner.list(collection, { start: start.at(-1) === 0 ? start.subarray(0, -1) : start, end }, page),
    }),
  },
  {
    that: "returns values with keysOnly",
    caughtBy: "keysOnly leaves the values out, and nothing else",
    device: (inner) => ({
      list: (collection, range, page) => inner.list(collection, range, { ...page, keysOnly: false }),
    }),
  },
  {
    that: "takes the empty key for no key",
    caughtBy: "the empty key is a key, and the first of all",
    device: (inner) => ({
      commit: (guard, changes) =>
        inner.commit(
          guard,
          changes.map((change) => ({ ...change, puts: change.puts.filter(({ key }) => key.length > 0) })),
        ),
    }),
  },
  {
    that: "takes an empty value for absence",
    caughtBy: "an empty value is a value",
    device: (inner) => ({
      getMany: async (collection, keys) =>
        (await inner.getMany(collection, keys)).map((value) => (value?.length === 0 ? undefined : value)),
    }),
  },
  {
    that: "cuts off the last byte of the longest keys",
    caughtBy: LONGEST,
    device: (inner) => {
      const cut = (key: Uint8Array) => key.subarray(0, 1_023);
      return {
        getMany: (collection, keys) => inner.getMany(collection, keys.map(cut)),
        commit: (guard, changes) =>
          inner.commit(
            guard,
            changes.map((change) => ({
              ...change,
              puts: change.puts.map(({ key, value }): StoredRecord => ({ key: cut(key), value })),
            })),
          ),
      };
    },
  },
  {
    that: "answers getMany in the order of the stored keys",
    caughtBy: GET_MANY,
    device: (inner) => ({
      getMany: (collection, keys) => inner.getMany(collection, keys.toSorted(compareBytes)),
    }),
  },
  {
    that: "answers getMany without the repeats",
    caughtBy: GET_MANY,
    device: (inner) => ({
      getMany: (collection, keys) =>
        inner.getMany(collection, [...new Map(keys.map((key) => [toText(key), key])).values()]),
    }),
  },
  {
    that: "answers getMany without the gaps",
    caughtBy: GET_MANY,
    device: (inner) => ({
      getMany: async (collection, keys) =>
        (await inner.getMany(collection, keys)).filter((value) => value !== undefined),
    }),
  },
  {
    that: "reads the first thousand keys only",
    caughtBy: "getMany answers for ten thousand keys at once",
    device: (inner) => ({ getMany: (collection, keys) => inner.getMany(collection, keys.slice(0, 1_000)) }),
  },
  {
    that: "takes the whole buffer under a view",
    caughtBy: "keys and values may be views into a larger buffer, and Node's buffers",
    device: (inner) => ({
      commit: (guard, changes) =>
        inner.commit(
          guard,
          changes.map((change) => ({
            ...change,
            puts: change.puts.map(({ key, value }) => ({ key, value: new Uint8Array(value.buffer) })),
          })),
        ),
    }),
  },
  {
    that: "folds the case of collection names",
    caughtBy: "collections with similar names do not share records",
    device: (inner) => ({
      getMany: (collection, keys) => inner.getMany(collection.toLowerCase(), keys),
      commit: (guard, changes) =>
        inner.commit(
          guard,
          changes.map((change) => ({ ...change, collection: change.collection.toLowerCase() })),
        ),
    }),
  },
  {
    that: "reads from a cache that no commit reaches",
    caughtBy: SEES,
    deviceStore(inner) {
      const cache = new Map<string, Uint8Array | undefined>();
      return {
        async get(collection, key) {
          const name = `${collection}\0${toText(key)}`;
          if (!cache.has(name)) cache.set(name, await inner.get(collection, key));
          return cache.get(name);
        },
      };
    },
  },
  {
    that: "reads from a cache that deleted ranges do not reach",
    caughtBy: SEES,
    deviceStore(inner) {
      const cache = new Map<string, Uint8Array | undefined>();
      return {
        async commit(changes) {
          await inner.commit(changes);
          for (const change of changes)
            if ("key" in change) cache.delete(`${change.collection}\0${toText(change.key)}`);
        },
        async get(collection, key) {
          const name = `${collection}\0${toText(key)}`;
          if (!cache.has(name)) cache.set(name, await inner.get(collection, key));
          return cache.get(name);
        },
      };
    },
  },
  {
    that: "keeps its cache when the device is opened again",
    caughtBy: "a fenced writer that opens again sees what its successor wrote",
    deviceStore(inner, store, { memory }) {
      // One cache for each process: a store is what a process has.
      const caches = (memory.get("caches") ?? new Map()) as Map<unknown, Map<string, Uint8Array | undefined>>;
      memory.set("caches", caches);
      const cache = caches.get(store) ?? new Map<string, Uint8Array | undefined>();
      caches.set(store, cache);
      return {
        async get(collection, key) {
          const name = `${collection}\0${toText(key)}`;
          if (!cache.has(name)) cache.set(name, await inner.get(collection, key));
          return cache.get(name);
        },
      };
    },
  },
  {
    that: "keeps in its cache what a failed commit was to write",
    caughtBy: "what a failed commit wrote is never read from the cache",
    deviceStore(inner, _, { memory }) {
      const cache = (memory.get("cache") ?? new Map()) as Map<string, Uint8Array>;
      memory.set("cache", cache);
      return {
        async commit(changes) {
          for (const change of changes) if (change.type === "put") cache.set(toText(change.key), change.value);
          await inner.commit(changes);
        },
        get: async (collection, key) => cache.get(toText(key)) ?? (await inner.get(collection, key)),
      };
    },
  },
  {
    that: "answers a read that failed as if nothing were stored",
    caughtBy: "a get that fails for good throws and poisons, and never answers as if nothing were stored",
    deviceStore: (inner) => ({ get: (collection, key) => inner.get(collection, key).catch(() => undefined) }),
  },
  {
    that: "answers a listing that failed with an empty list",
    caughtBy: "a list that fails for good throws and poisons, and never answers as if nothing were stored",
    deviceStore: (inner) => ({
      list: (collection, range, page) => inner.list(collection, range, page).catch(() => []),
    }),
  },
  {
    that: "answers a count that failed with zero",
    caughtBy: "a count that fails for good throws and poisons, and never answers as if nothing were stored",
    deviceStore: (inner) => ({ count: (collection, range) => inner.count(collection, range).catch(() => 0) }),
  },
];
