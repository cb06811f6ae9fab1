import type { DeviceStore } from "@holdfast/key-store-core";
import type { ConnectionOwner, ConnectionState } from "./database/connection-state.ts";
import type { DatabaseAddress } from "./database/open.ts";
import type { IDBDatabaseInfo } from "./idl/idb-factory.ts";
import { type Backend, backendOf } from "./storage/backend.ts";

/** A device store that is served under a prefix. Also disposed of by `await using`. */
export interface Mount extends AsyncDisposable {
  /** What the names of its databases begin with. */
  readonly prefix: string;
  /**
   * Closes the connections that were opened through it, waits until their
   * transactions and the requests to open or delete databases have finished,
   * and takes it away. From the call on nothing can be opened under the prefix.
   * Idempotent. The device store stays open: it is the caller's.
   */
  unmount(): Promise<void>;
}

/** A mount, with what the router needs of it. */
export class MountState implements Mount, ConnectionOwner {
  readonly prefix: string;
  readonly #backend: Backend;
  readonly #remove: () => void;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #connections = new Set<ConnectionState>();
  /** Lets `unmount()` look again whether all is done. */
  #look: () => void = () => {};
  #unmounting: Promise<void> | undefined;

  constructor(prefix: string, store: DeviceStore, remove: () => void) {
    this.prefix = prefix;
    this.#backend = backendOf(store);
    this.#remove = remove;
  }

  /** Names are stored without the prefix: under another one the device is the same. */
  addressOf(name: string): DatabaseAddress {
    return { backend: this.#backend, owner: this, name, storedName: name.slice(this.prefix.length) };
  }

  /** Counts a request as in flight until it is done. */
  track(work: Promise<void>): void {
    this.#inFlight.add(work);
    void work.finally(() => {
      this.#inFlight.delete(work);
      this.#look();
    });
  }

  async databases(): Promise<IDBDatabaseInfo[]> {
    await this.#backend.load();
    return Array.from(this.#backend.databases.values(), ({ schema }) => ({
      name: this.prefix + schema.name,
      version: schema.version,
    }));
  }

  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unmount();
  }

  opened(connection: ConnectionState): void {
    this.#connections.add(connection);
    if (this.#unmounting !== undefined) connection.close();
  }

  closed(connection: ConnectionState): void {
    this.#connections.delete(connection);
    this.#look();
  }

  async #unmount(): Promise<void> {
    this.#remove();
    for (const connection of this.#connections) connection.close();
    while (this.#inFlight.size > 0 || this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
  }
}
