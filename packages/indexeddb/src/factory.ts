import type { DeviceStore } from "@holdfast/key-store-core";
import { IDBFactory } from "./idl/idb-factory.ts";
import { internal } from "./idl/shape.ts";
import type { Mount, MountOptions } from "./mount.ts";
import { Router } from "./router.ts";

const router = new Router();

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
 * @throws `DOMException` `InvalidStateError` where something is mounted on this prefix; `TypeError` for an option that there is not
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
 * @throws `TypeError` for an option that there is not
 */
export function createIndexedDB(store: DeviceStore, options: MountOptions = {}): IDBFactory {
  const own = new Router();
  own.mount("", store, options);
  return new IDBFactory(internal, own);
}
