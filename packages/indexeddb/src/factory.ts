import type { DeviceStore } from "@holdfast/key-store-core";
import { IDBFactory } from "./idl/idb-factory.ts";
import { internal } from "./idl/shape.ts";
import type { Mount } from "./mount.ts";
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
 * @throws `DOMException` `InvalidStateError` where something is mounted on this prefix
 */
export function mount(prefix: string, store: DeviceStore): Mount {
  return router.mount(prefix, store);
}

/**
 * A factory for the databases of one device store alone: no globals, no
 * prefixes. Two factories of the same device store see each other's
 * connections, as two pages of one site do.
 */
export function createIndexedDB(store: DeviceStore): IDBFactory {
  const own = new Router();
  own.mount("", store);
  return new IDBFactory(internal, own);
}
