import type { DeviceStore } from "@holdfast/key-store-core";
import { DatabaseState } from "../database/database-state.ts";
import { readCatalog } from "./catalog.ts";

/** One device store with its databases, whoever opens them. */
export class Backend {
  readonly store: DeviceStore;
  /** Databases by name; those that are being made are not among them. */
  readonly databases = new Map<string, DatabaseState>();
  nextDatabaseId = 1;
  /** What is done to a database waits for what was asked before it, by name. */
  readonly queues = new Map<string, Promise<void>>();

  #loaded: Promise<void> | undefined;

  constructor(store: DeviceStore) {
    this.store = store;
  }

  /** Reads the catalog, once. After a failure it is read again. */
  async load(): Promise<void> {
    this.#loaded ??= this.#load();
    try {
      await this.#loaded;
    } catch (error) {
      this.#loaded = undefined;
      throw error;
    }
  }

  /** Lets requests that wait for connections to close look again. */
  reconsiderWaiting(): void {
    for (const database of this.databases.values()) database.reconsiderWaiting();
  }

  async #load(): Promise<void> {
    const catalog = await readCatalog(this.store);
    this.nextDatabaseId = catalog.nextDatabaseId;
    for (const schema of catalog.databases.values()) this.databases.set(schema.name, new DatabaseState(this, schema));
  }
}

const backends = new WeakMap<DeviceStore, Backend>();

/** The backend of a device store: the same one for all who ask, so that they see each other's connections. */
export function backendOf(store: DeviceStore): Backend {
  let backend = backends.get(store);
  if (backend === undefined) {
    backend = new Backend(store);
    backends.set(store, backend);
  }
  return backend;
}
