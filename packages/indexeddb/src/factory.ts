import type { DeviceStore } from "@holdfast/key-store-core";
import { type FactoryState, IDBFactory } from "./idl/idb-factory.ts";
import { internal } from "./idl/shape.ts";
import type { Mount, MountOptions } from "./mount.ts";
import { Router } from "./router.ts";

const router = new Router();

/** What another factory is asked for. */
type OtherFactory = Pick<IDBFactory, "open" | "deleteDatabase" | "databases">;

/**
 * The factory that all mounts share: the one that {@link install} makes the
 * global `indexedDB`. A name that nothing is mounted for fails its request with
 * `InvalidStateError`.
 */
export const indexedDB: IDBFactory = new IDBFactory(internal, router);

/**
 * Serves the databases of {@link indexedDB} whose names begin with `prefix`
 * from a device store. The longest prefix wins; the empty one is for all names
 * that no other takes. Names are stored without the prefix, so that a device
 * that is mounted elsewhere the next time has the same databases.
 *
 * @throws `DOMException` `InvalidStateError` where something is mounted on this prefix;
 * `TypeError` for an option that there is not, and for what is no device store, such as the `null` of `openDevice()`
 */
export function mount(prefix: string, store: DeviceStore, options: MountOptions = {}): Mount {
  return router.mount(prefix, store, options);
}

/**
 * A factory for the databases of one device store alone: no globals, no
 * prefixes. Two factories of the same device store see each other's
 * connections, as two pages of one site do.
 *
 * One that stalls is silent for good when its store has failed: where another
 * store may take over, {@link mount} it.
 *
 * @throws `TypeError` for an option that there is not, and for what is no
 * device store, such as the `null` of `openDevice()`
 */
export function createIndexedDB(store: DeviceStore, options: MountOptions = {}): IDBFactory {
  const own = new Router();
  own.mount("", store, options);
  return new IDBFactory(internal, own);
}

/**
 * A factory for the databases that something is mounted for, and for all others
 * in the place of another one. Without that one, which is looked up each time,
 * it is the factory of all mounts.
 */
export function withMounts(lookUpOther: () => OtherFactory | undefined): IDBFactory {
  const otherFor = (name: string) => (router.serves(name) ? undefined : lookUpOther());
  const state: FactoryState = {
    open(name, version) {
      const other = otherFor(name);
      if (other === undefined) return router.open(name, version);
      return version === undefined ? other.open(name) : other.open(name, version);
    },
    delete: (name) => otherFor(name)?.deleteDatabase(name) ?? router.delete(name),
    async databases() {
      const [mounted, others] = await Promise.all([router.databases(), lookUpOther()?.databases() ?? []]);
      return [...mounted, ...others.filter(({ name }) => !router.serves(name))];
    },
  };
  return new IDBFactory(internal, state);
}
