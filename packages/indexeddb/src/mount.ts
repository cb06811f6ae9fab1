import type { DeviceStore } from "@holdfast/key-store-core";
import type { DatabaseAddress } from "./database/open.ts";
import { exception } from "./errors.ts";
import type { IDBDatabaseInfo } from "./idl/idb-factory.ts";
import type { OpenRequestState } from "./request/request-state.ts";
import { ServedStore, type StoreFailureHandling } from "./served-store.ts";

/** How a device store is served. */
export interface MountOptions {
  /**
   * What programs are told once the device store has failed, which its `failed`
   * signal says, or has rejected what it was asked for because it was closed.
   *
   * - `"abort"`: the requests fail and the transactions abort, as in a browser
   *   whose disk fails.
   * - `"stall"`: nothing, for programs that take a failure for an answer and go
   *   on. From the failure on no event is fired and no promise settles; methods
   *   throw what they always throw, and no more. What a connection was asked
   *   for stays unanswered for good, whatever came of its commit. Requests of
   *   the factory that nobody has been told anything of wait for
   *   {@link Mount.replace}.
   *
   * Default: `"abort"`.
   */
  readonly onStoreFailure?: StoreFailureHandling | undefined;
}

/** A device store that is served under a prefix. Also disposed of by `await using`. */
export interface Mount extends AsyncDisposable {
  /** What the names of its databases begin with. */
  readonly prefix: string;

  /** How many connections to its databases are open. */
  readonly connections: number;

  /**
   * Serves the databases from another device store, after the one before has
   * failed or was closed: most often the same device, opened again.
   *
   * Where the mount stalls, `databases()`, `open()` and `deleteDatabase()` that
   * were waiting are carried out on the new store, unless an `upgradeneeded`
   * event was fired or the deletion was sent to the store before. Transactions
   * are never repeated: what they were to write may depend on what is lost, and
   * may have been written. Connections from before stay silent, and are in
   * nobody's way; where the mount does not stall they are closed. Either way,
   * open the databases anew.
   *
   * @throws `DOMException` `InvalidStateError` where the store before has not
   * failed and was not closed, the new one has failed or was closed, or the
   * mount was taken away; `TypeError` for what is no device store, such as the
   * `null` of `openDevice()`
   */
  replace(store: DeviceStore): void;

  /**
   * Closes the connections that were opened through it, waits until their
   * transactions and the requests to open or delete databases have finished,
   * and takes it away. A request that waits for connections of another mount to
   * close is given up: `AbortError`. Of a store that has failed and stalls it waits for
   * nothing: everything that was held back is dropped, and never answered.
   * From the call on nothing can be opened under the prefix. Idempotent. The
   * device store stays open: it is the caller's.
   */
  unmount(): Promise<void>;
}

/** A request of the factory, which can be carried out on more than one store until something is told of it. */
interface Asked {
  readonly name: string;
  readonly request: OpenRequestState;
  readonly place: (address: DatabaseAddress, request: OpenRequestState) => Promise<void>;
}

/** A mount, with what the router needs of it. */
export class MountState implements Mount {
  readonly prefix: string;
  readonly #handling: StoreFailureHandling;
  readonly #remove: () => void;
  /** The requests that another store may have to carry out; kept only where the mount stalls. */
  readonly #asked = new Set<Asked>();
  #served: ServedStore;
  /** Resolves when there is another store, or none any more. */
  #changed = Promise.withResolvers<void>();
  #unmounting: Promise<void> | undefined;

  constructor(prefix: string, store: DeviceStore, options: MountOptions, remove: () => void) {
    if (typeof prefix !== "string") throw new TypeError("the prefix of a mount is a string");
    checkStore(store);
    const handling = handlingOf(options);
    this.prefix = prefix;
    this.#handling = handling;
    this.#served = new ServedStore(store, handling);
    this.#remove = remove;
  }

  get connections(): number {
    return this.#served.connections;
  }

  /** Carries out a request of the factory. */
  ask(name: string, request: OpenRequestState, place: Asked["place"]): void {
    const asked: Asked = { name, request, place };
    if (this.#handling === "stall") this.#asked.add(asked);
    this.#place(asked);
  }

  async databases(): Promise<IDBDatabaseInfo[]> {
    while (this.#unmounting === undefined) {
      const served = this.#served;
      const { backend } = served;
      try {
        await backend.load();
        if (!served.isSilent) {
          return Array.from(backend.databases.values(), ({ schema: { name, version } }) => {
            return { name: this.prefix + name, version };
          });
        }
      } catch (error) {
        served.observe(error);
        if (!served.isSilent) throw error;
      }
      if (served === this.#served && this.#unmounting === undefined) await this.#changed.promise;
    }
    return [];
  }

  replace(store: DeviceStore): void {
    checkStore(store);
    if (this.#unmounting !== undefined) throw exception("InvalidStateError", "the mount was taken away");
    const before = this.#served;
    before.look();
    if (!before.hasFailed) {
      throw exception("InvalidStateError", "the device store has not failed, and was not closed: close it first");
    }
    const next = new ServedStore(store, this.#handling);
    next.look();
    if (next.hasFailed) throw exception("InvalidStateError", "the new device store has failed itself, or was closed");
    this.#served = next;
    void before.close();
    this.#tellOfChange();
    const waiting = [...this.#asked];
    this.#asked.clear();
    for (const asked of waiting) if (!asked.request.isBegun) this.ask(asked.name, asked.request, asked.place);
  }

  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unmount();
  }

  #place(asked: Asked): void {
    const owner = this.#served;
    if (owner.isSilent) return;
    const { name, request } = asked;
    // Names are stored without the prefix: under another one the device is the same.
    const address = { backend: owner.backend, owner, name, storedName: name.slice(this.prefix.length) };
    const placed = asked.place(address, request);
    owner.track(placed);
    if (this.#handling === "abort") return;
    void placed.then(() => {
      if (!owner.isSilent) this.#asked.delete(asked);
    });
  }

  #tellOfChange(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #unmount(): Promise<void> {
    this.#remove();
    this.#tellOfChange();
    await this.#served.close();
    this.#asked.clear();
  }
}

function checkStore(store: unknown): void {
  if (store === null) {
    throw new TypeError(
      "the device store is null, which openDevice() answers while the key store is not ready: " +
        "await waitUntilReady(keyStore), of @holdfast/key-store-core, and open the device again",
    );
  }
  const { failed, commit } = (store ?? {}) as Partial<DeviceStore>;
  // By its shape: test environments have an AbortSignal of their own.
  if (typeof failed?.addEventListener !== "function" || typeof commit !== "function") {
    throw new TypeError("this is no device store: pass what openDevice() of a key store has answered, awaited");
  }
}

function handlingOf(options: MountOptions): StoreFailureHandling {
  if (typeof options !== "object" || options === null) throw new TypeError("the options of a mount are an object");
  for (const name of Object.keys(options)) {
    if (name !== "onStoreFailure") throw new TypeError(`a mount has no option "${name}", only onStoreFailure`);
  }
  const { onStoreFailure = "abort" } = options;
  if (onStoreFailure !== "abort" && onStoreFailure !== "stall") {
    throw new TypeError('onStoreFailure must be "abort" or "stall"');
  }
  return onStoreFailure;
}
