import { type DeviceStore, isKeyStoreError } from "@holdfast/key-store-core";
import type { ConnectionOwner, ConnectionState } from "./database/connection-state.ts";
import { type Backend, backendOf } from "./storage/backend.ts";
import { CATALOG } from "./storage/names.ts";

const ANY_KEY = Uint8Array.of(0);

/** What programs are told when the device store has failed. */
export type StoreFailureHandling = "abort" | "stall";

/**
 * A device store while it is served, with the connections to its databases.
 * Where it is to stall, its first failure silences it for good: nothing that
 * was asked of it is answered any more.
 */
export class ServedStore implements ConnectionOwner {
  readonly backend: Backend;
  readonly #stalls: boolean;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #connections = new Set<ConnectionState>();
  #closed = false;
  #closing = false;
  /** Lets {@link ServedStore.close} look again whether all is done. */
  #look: () => void = () => {};

  constructor(store: DeviceStore, handling: StoreFailureHandling) {
    this.backend = backendOf(store);
    this.#stalls = handling === "stall";
  }

  get hasFailed(): boolean {
    return this.#closed || this.backend.store.failed.aborted;
  }

  get isSilent(): boolean {
    return this.#stalls && this.hasFailed;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#connections.size;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  /**
   * Looks whether the store was closed, though no request has met it yet. Of one
   * that answers nothing from memory only requests find it out.
   */
  look(): void {
    try {
      this.backend.store.peek?.(CATALOG, ANY_KEY);
    } catch (error) {
      this.observe(error);
    }
  }

  /** Looks whether an error says that the store was closed: of every other failure its signal tells. */
  observe(error: unknown): void {
    if (!isKeyStoreError(error, "ERR_KEY_STORE_CLOSED")) return;
    this.#closed = true;
    this.#look();
  }

  /** Counts a request as in flight until it is done. */
  track(work: Promise<void>): void {
    this.#inFlight.add(work);
    void work.finally(() => {
      this.#inFlight.delete(work);
      this.#look();
    });
  }

  opened(connection: ConnectionState): void {
    this.#connections.add(connection);
    if (this.#closing) connection.close();
  }

  closed(connection: ConnectionState): void {
    this.#connections.delete(connection);
    this.#look();
  }

  /** Closes the connections, and waits until all that is under way has finished; of a silent one nothing will, and it is let go of. */
  async close(): Promise<void> {
    const { failed } = this.backend.store;
    const look = () => this.#look();
    // The store may fail while this waits for what will never finish then.
    failed.addEventListener("abort", look);
    this.#closing = true;
    this.backend.reconsiderWaiting();
    // Silent ones are not closed: that would be told by the exceptions of their methods.
    if (!this.isSilent) for (const connection of this.#connections) connection.close();
    while (!this.isSilent && (this.#inFlight.size > 0 || this.#connections.size > 0)) {
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
    failed.removeEventListener("abort", look);
    for (const connection of this.#connections) connection.abandon();
    this.#inFlight.clear();
    this.#connections.clear();
  }
}
