import { exception } from "../errors.ts";
import type { Backend } from "../storage/backend.ts";
import type { DatabaseSchema, StoreSchema } from "../storage/schema.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import type { ConnectionOwner, ConnectionState } from "./connection-state.ts";

/** A database with its open connections. */
export class DatabaseState {
  readonly backend: Backend;
  readonly schema: DatabaseSchema;
  readonly connections = new Set<ConnectionState>();
  /** The upgrade transaction that is running. */
  upgrade: TransactionState | null = null;

  readonly #waitingForClose: (() => void)[] = [];

  constructor(backend: Backend, schema: DatabaseSchema) {
    this.backend = backend;
    this.schema = schema;
  }

  storesNamed(names: readonly string[]): StoreSchema[] {
    const stores: StoreSchema[] = [];
    for (const name of names) {
      const store = this.schema.stores.get(name);
      if (store !== undefined) stores.push(store);
    }
    return stores;
  }

  /** The connections that are not about to close, but for one. */
  openConnections(except?: ConnectionState): ConnectionState[] {
    return [...this.connections].filter((each) => each !== except && !each.closePending);
  }

  /**
   * Resolves when no connection is left but, if it is given, one.
   *
   * @throws `AbortError` where the owner of the request that waits is closing: connections of others may stay for good
   */
  async closedExcept(owner: ConnectionOwner, connection?: ConnectionState): Promise<void> {
    for (;;) {
      const others = [...this.connections].filter((each) => each !== connection);
      if (others.length === 0) return;
      if (owner.isClosing && others.some((each) => !each.isOf(owner))) {
        throw exception("AbortError", "the mount was taken away while others had connections to the database open");
      }
      await new Promise<void>((resolve) => this.#waitingForClose.push(resolve));
    }
  }

  connectionClosed(connection: ConnectionState): void {
    this.connections.delete(connection);
    this.reconsiderWaiting();
  }

  /** Lets those that wait in {@link closedExcept} look again. */
  reconsiderWaiting(): void {
    for (const tell of this.#waitingForClose.splice(0)) tell();
  }
}
