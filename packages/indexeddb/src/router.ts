import type { DeviceStore } from "@holdfast/key-store-core";
import { type DatabaseAddress, failRequest, placeDelete, placeOpen } from "./database/open.ts";
import { exception } from "./errors.ts";
import type { FactoryState, IDBDatabaseInfo } from "./idl/idb-factory.ts";
import type { IDBOpenDBRequest } from "./idl/idb-request.ts";
import { type MountOptions, MountState } from "./mount.ts";
import { OpenRequestState } from "./request/request-state.ts";

/** Sends each request to the device store that is mounted for the database's name. */
export class Router implements FactoryState {
  readonly #mounts = new Map<string, MountState>();

  /**
   * Serves the databases whose names begin with `prefix` from a device store.
   *
   * @throws `InvalidStateError` where this prefix is taken
   */
  mount(prefix: string, store: DeviceStore, options: MountOptions): MountState {
    if (this.#mounts.has(prefix)) {
      throw exception("InvalidStateError", `something is mounted on "${prefix}" already: unmount it first`);
    }
    const mount = new MountState(prefix, store, options, () => {
      if (this.#mounts.get(prefix) === mount) this.#mounts.delete(prefix);
    });
    this.#mounts.set(prefix, mount);
    return mount;
  }

  /** Whether something is mounted for a database of this name. */
  serves(name: string): boolean {
    return this.#mountOf(name) !== undefined;
  }

  open(name: string, version: number | undefined): IDBOpenDBRequest {
    return this.#ask(name, (address, request) => placeOpen(address, version, request));
  }

  delete(name: string): IDBOpenDBRequest {
    return this.#ask(name, (address, request) => placeDelete(address, request));
  }

  async databases(): Promise<IDBDatabaseInfo[]> {
    const mounts = [...this.#mounts.values()];
    const lists = await Promise.all(mounts.map((mount) => mount.databases()));
    // A database that a longer prefix hides cannot be opened by this name.
    return lists.flatMap((list, nth) => list.filter(({ name }) => this.#mountOf(name) === mounts[nth]));
  }

  #ask(name: string, place: (address: DatabaseAddress, request: OpenRequestState) => Promise<void>): IDBOpenDBRequest {
    const request = new OpenRequestState();
    const mount = this.#mountOf(name);
    if (mount === undefined) {
      const message = `no device store is mounted for a database of the name "${name}"`;
      void failRequest(request, exception("InvalidStateError", message));
    } else mount.ask(name, request, place);
    return request.target;
  }

  /** The mount with the longest prefix that a name begins with. */
  #mountOf(name: string): MountState | undefined {
    for (let length = name.length; length >= 0; length -= 1) {
      const mount = this.#mounts.get(name.slice(0, length));
      if (mount !== undefined) return mount;
    }
    return undefined;
  }
}
