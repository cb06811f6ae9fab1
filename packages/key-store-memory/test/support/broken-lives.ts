import { isKeyStoreError, KeyStoreError, type OpenDeviceOptions } from "@holdfast/key-store-core";
import type { BrokenPlace, BrokenStore } from "./broken.ts";

const ISOLATED = "devices are isolated from one another, however alike their ids";
const DELETED = "deleting a device removes it with all its records, and no other";
const USAGE = "usage is what is stored, after puts, overwrites, deletes, ranges and drops";
const REFUSES = "a database that refuses the connection makes init false, and no method throws";

/** What is added to the records that the store counts. */
function miscounting(place: BrokenPlace, more: number): void {
  place.memory.set("miscount", ((place.memory.get("miscount") as number | undefined) ?? 0) + more);
}

/** Stores that begin, lease, keep devices apart or count wrongly. */
export const brokenLives: readonly BrokenStore[] = [
  {
    that: "throws from init where the database cannot be reached",
    caughtBy: REFUSES,
    store: (inner) => ({
      async init() {
        if (await inner.init()) return true;
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the database cannot be reached");
      },
    }),
  },
  {
    that: "throws where it is unavailable",
    caughtBy: REFUSES,
    store: (inner) => ({
      async listDevices() {
        if (inner.status.state !== "unavailable") return inner.listDevices();
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", inner.status.reason);
      },
    }),
  },
  {
    that: "throws from stats where it is unavailable",
    caughtBy: REFUSES,
    store: (inner) => ({
      async stats() {
        if (inner.status.state !== "unavailable") return inner.stats();
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", inner.status.reason);
      },
    }),
  },
  {
    that: "throws before init",
    caughtBy: "before init every method says that there is nothing to be had",
    store: (inner) => ({
      async openDevice(device, options) {
        if (inner.status.state !== "new") return inner.openDevice(device, options);
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "call init first");
      },
    }),
  },
  {
    that: "never looks again after it was unavailable",
    caughtBy: "a store that was unavailable becomes ready when init finds the database back",
    store(inner) {
      let answer: Promise<boolean> | undefined;
      return {
        init() {
          answer ??= inner.init();
          return answer;
        },
      };
    },
  },
  {
    that: "answers null where the database has gone away",
    caughtBy: "once ready, a database that is gone is an exception and never an empty answer",
    store: (inner) => ({ openDevice: (device, options) => inner.openDevice(device, options).catch(() => null) }),
  },
  {
    that: "works on after close",
    caughtBy: "after close every method but stats and close throws ERR_KEY_STORE_CLOSED",
    store: (inner) => ({ listDevices: () => inner.listDevices().catch(() => []) }),
  },
  {
    that: "lets two have a device open",
    caughtBy: "a device that is open elsewhere is refused, and the error tells who has it",
    driver: (inner) => ({ acquire: (request) => inner.acquire({ ...request, force: true }) }),
  },
  {
    that: "does not tell who has the lease",
    caughtBy: "a device that is open elsewhere is refused, and the error tells who has it",
    store: (inner) => ({
      openDevice: (device, options) =>
        inner.openDevice(device, options).catch((error: unknown) => {
          if (!isKeyStoreError(error)) throw error;
          throw new KeyStoreError(error.code, error.message);
        }),
    }),
  },
  {
    that: "never gives a lease back",
    caughtBy: "a device that is closed may be opened again by the same key store",
    device: () => ({ async release() {} }),
  },
  {
    that: "gives back the lease of others",
    caughtBy: "a fenced writer that closes leaves the lease of its successor alone",
    device: (inner) => ({
      release: async (holderId) => inner.release((await inner.state())?.holder?.id ?? holderId),
    }),
  },
  {
    that: "does not wait for a lease",
    caughtBy: "whoever waits for a lease gets it when its holder closes",
    store: (inner) => ({
      openDevice: (device, options: OpenDeviceOptions = {}) =>
        inner.openDevice(device, options.lease === undefined ? { ...options, lease: "fail" } : options),
    }),
  },
  {
    that: "takes a lease that it was to wait for",
    caughtBy: "waiting for a lease ends with waitMs, and tells who kept it",
    store: (inner) => ({
      openDevice: (device, options: OpenDeviceOptions = {}) =>
        inner.openDevice(device, options.lease === undefined ? { ...options, lease: "take-over" } : options),
    }),
  },
  {
    that: "ends a wait with an error of its own, not the signal's reason",
    caughtBy: "waiting for a lease ends when its signal aborts, with the signal's reason",
    store: (inner) => ({
      openDevice: (device, options) =>
        inner.openDevice(device, options).catch((error: unknown) => {
          throw options?.signal?.aborted ? new Error("aborted") : error;
        }),
    }),
  },
  {
    that: "does not take over",
    caughtBy: "a device that is taken over fences its old writer, whose commit writes nothing",
    driver: (inner) => ({ acquire: (request) => inner.acquire({ ...request, force: false }) }),
  },
  {
    that: "does not raise the epoch when a device is opened",
    caughtBy: "acquiring raises the epoch and keeps the revision; a new device has 1 and 0",
    driver: (inner) => ({
      async acquire(request) {
        const answer = await inner.acquire(request);
        return answer.outcome === "acquired" ? { ...answer, epoch: 1n } : answer;
      },
    }),
  },
  {
    that: "begins again at revision 0 when a device is opened",
    caughtBy: "the epoch grows with every opening, and the revision stays",
    driver: (inner) => ({
      async acquire(request) {
        const answer = await inner.acquire(request);
        return answer.outcome === "acquired" ? { ...answer, revision: 0n } : answer;
      },
    }),
  },
  {
    that: 'creates a device with create: "never"',
    caughtBy: 'with create: "never" a device that is not there is an error, and stays away',
    driver: (inner) => ({ acquire: (request) => inner.acquire({ ...request, create: true }) }),
  },
  {
    that: "refuses its holder's commit because a clock says so",
    caughtBy: "a lease that ran out and that nobody took still guards its holder's commits",
    device: (inner, { device }, { storage }) => ({
      async commit(guard, changes) {
        const row = storage.list().find(({ deviceId }) => deviceId === device.deviceId);
        return row?.holder === undefined ? false : inner.commit(guard, changes);
      },
    }),
  },
  {
    that: "shows leases that have run out",
    caughtBy: "a lease whose time limit is over may be taken, which fences its holder",
    driver: (inner, { memory }) => ({
      async acquire(request) {
        memory.set("holder", request.holder);
        return inner.acquire(request);
      },
      listDevices: async () =>
        (await inner.listDevices()).map((device) => ({
          ...device,
          holder: device.holder ?? (memory.get("holder") as typeof device.holder),
        })),
    }),
  },
  {
    that: "joins user id and device id",
    caughtBy: ISOLATED,
    driver: (inner) => ({
      acquire: (request) =>
        inner.acquire({
          ...request,
          device: { userId: request.device.userId + request.device.deviceId, deviceId: "-" },
        }),
    }),
  },
  {
    that: "normalises user ids",
    caughtBy: ISOLATED,
    driver: (inner) => ({
      acquire: (request) =>
        inner.acquire({ ...request, device: { ...request.device, userId: request.device.userId.normalize() } }),
    }),
  },
  {
    that: "lists devices in the order of UTF-16",
    caughtBy: "devices are listed by the UTF-8 bytes of their ids, with what they hold",
    driver: (inner) => ({
      listDevices: async () => (await inner.listDevices()).sort((a, b) => (a.userId < b.userId ? -1 : 1)),
    }),
  },
  {
    that: "leaves the records of a deleted device behind",
    caughtBy: DELETED,
    driver: (inner, { memory }) => ({
      async deleteDevice(device) {
        memory.set(device.deviceId, "hidden");
        return "deleted";
      },
      listDevices: async () => (await inner.listDevices()).filter(({ deviceId }) => memory.get(deviceId) !== "hidden"),
      acquire: async (request) =>
        memory.get(request.device.deviceId) === "hidden" && !request.create
          ? { outcome: "absent" }
          : inner.acquire(request),
    }),
  },
  {
    that: "says that it deleted a device that is open",
    caughtBy: "a device that is open cannot be deleted, and the error tells who has it",
    driver: (inner) => ({
      async deleteDevice(device) {
        const answer = await inner.deleteDevice(device);
        return typeof answer === "object" ? "deleted" : answer;
      },
    }),
  },
  {
    that: "says that it deleted a device that was not there",
    caughtBy: "deleting a device that is not there answers false",
    driver: (inner) => ({
      async deleteDevice(device) {
        const answer = await inner.deleteDevice(device);
        return answer === "absent" ? "deleted" : answer;
      },
    }),
  },
  {
    that: "counts an overwritten record twice",
    caughtBy: USAGE,
    device: (inner, _, place) => ({
      async commit(guard, changes) {
        for (const { collection, puts } of changes) {
          const old = await inner.getMany(
            collection,
            puts.map(({ key }) => key),
          );
          miscounting(place, old.filter((value) => value !== undefined).length);
        }
        return inner.commit(guard, changes);
      },
    }),
    driver: (inner, { memory }) => ({
      async usage() {
        const usage = await inner.usage();
        const more = (memory.get("miscount") as number | undefined) ?? 0;
        return { ...usage, collections: usage.collections.map((one) => ({ ...one, records: one.records + more })) };
      },
    }),
  },
  {
    that: "counts the bytes of values only",
    caughtBy: USAGE,
    driver: (inner) => ({
      listDevices: async () =>
        (await inner.listDevices()).map((device) => ({ ...device, bytes: device.bytes - device.records })),
    }),
  },
  {
    that: "does not tell the leases",
    caughtBy: "usage adds the devices up, and lists leases and collections",
    driver: (inner) => ({ usage: async () => ({ ...(await inner.usage()), leases: [] }) }),
  },
  {
    that: "counts the commits of a batch one by one",
    caughtBy: "the stats tell the store, its status, its engine and its counters",
    store(inner, { memory }) {
      return {
        async stats() {
          const stats = await inner.stats();
          const commits = (memory.get("commits") as number | undefined) ?? 0;
          return { ...stats, counters: { ...stats.counters, commits } };
        },
      };
    },
    deviceStore: (inner, _, { memory }) => ({
      async commit(changes) {
        memory.set("commits", ((memory.get("commits") as number | undefined) ?? 0) + 1);
        await inner.commit(changes);
      },
    }),
  },
];
