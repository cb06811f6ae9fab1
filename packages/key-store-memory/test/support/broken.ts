import type { ConformancePlace, ConformanceSubject } from "@holdfast/key-store-conformance";
import {
  type AcquireRequest,
  type DeviceDriver,
  type DeviceStore,
  DriverKeyStore,
  type KeyStore,
  type KeyStoreDriver,
  type KeyStoreOptions,
} from "@holdfast/key-store-core";
import { MemoryDriver } from "../../src/driver.ts";
import { MemoryStorage } from "../../src/index.ts";
import { LockedDriver, RowLocks } from "./row-locks.ts";

/** What a broken piece knows of the place it is in. */
export interface BrokenPlace extends ConformancePlace {
  readonly storage: MemoryStorage;
  readonly locks: RowLocks;
  /** For what a broken piece remembers between its calls, by a name of its choosing. */
  readonly memory: Map<string, unknown>;
}

/** A store that breaks one rule, by replacing some methods of the piece that keeps it. */
export interface BrokenStore {
  /** What it does wrong, as a sentence that goes on from "a store that". */
  readonly that: string;
  /** The test of the suite that is there to catch it. */
  readonly caughtBy: string;
  readonly options?: (options: KeyStoreOptions) => KeyStoreOptions;
  readonly driver?: (inner: KeyStoreDriver, place: BrokenPlace) => Partial<KeyStoreDriver>;
  readonly device?: (inner: DeviceDriver, request: AcquireRequest, place: BrokenPlace) => Partial<DeviceDriver>;
  /** A driver between the faults of the suite and the core: what a broken core would ask of its driver. */
  readonly core?: (inner: DeviceDriver) => Partial<DeviceDriver>;
  readonly store?: (inner: KeyStore, place: BrokenPlace) => Partial<KeyStore>;
  readonly deviceStore?: (inner: DeviceStore, store: KeyStore, place: BrokenPlace) => Partial<DeviceStore>;
}

/** The memory store with the pieces of a broken one in it; with none of them, a store that conforms. */
export function subjectOf(broken: Omit<BrokenStore, "that" | "caughtBy">): ConformanceSubject<BrokenPlace> {
  const places = new WeakMap<MemoryStorage, BrokenPlace>();
  let latest: BrokenPlace | undefined;

  const makeDriver = (place: BrokenPlace): KeyStoreDriver => {
    const real = new LockedDriver(new MemoryDriver(place.storage), place.locks);
    const device = (inner: DeviceDriver, request: AcquireRequest) => broken.device?.(inner, request, place) ?? {};
    const driver = withDevices(real, device);
    return overridden(driver, broken.driver?.(driver, place) ?? {});
  };
  const makeStore = (place: BrokenPlace, driver: KeyStoreDriver, options: KeyStoreOptions): KeyStore => {
    const core = broken.core;
    const asked = core === undefined ? driver : withDevices(driver, (inner) => core(inner));
    const real = new DriverKeyStore(asked, broken.options?.(options) ?? options);
    const store = overridden(real, {
      openDevice: async (ref, openOptions) => {
        const device = await real.openDevice(ref, openOptions);
        return device && overridden(device, broken.deviceStore?.(device, real, place) ?? {});
      },
    } satisfies Partial<KeyStore>);
    return overridden(store, broken.store?.(store, place) ?? {});
  };

  return {
    async create() {
      const storage = new MemoryStorage();
      const place: BrokenPlace = {
        storage,
        locks: new RowLocks(),
        memory: new Map(),
        open: (options) => makeStore(place, makeDriver(place), options),
        driver: () => makeDriver(place),
        async dispose() {},
      };
      places.set(storage, place);
      latest = place;
      return place;
    },
    over(driver, options) {
      if (latest === undefined) throw new Error("no place was made before a store over one of its drivers");
      return makeStore(latest, driver, options);
    },
    async expireLeases({ storage }) {
      storage.detachAll();
    },
    async holdCommits({ locks }) {
      return locks.holdNextCommit();
    },
  };
}

/** An object with some of its methods replaced; the others keep the private state that they were made with. */
function overridden<T extends object>(target: T, replacements: Partial<T>): T {
  return new Proxy(target, {
    get(_, property) {
      if (Object.hasOwn(replacements, property)) return Reflect.get(replacements, property);
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A driver that gives out devices with some of their hooks replaced. */
function withDevices(
  driver: KeyStoreDriver,
  replace: (inner: DeviceDriver, request: AcquireRequest) => Partial<DeviceDriver>,
): KeyStoreDriver {
  return overridden(driver, {
    async acquire(request: AcquireRequest) {
      const answer = await driver.acquire(request);
      if (answer.outcome !== "acquired") return answer;
      return { ...answer, device: overridden(answer.device, replace(answer.device, request)) };
    },
  });
}
