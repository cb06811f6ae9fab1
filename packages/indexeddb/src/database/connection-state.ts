import type { AsyncResource } from "node:async_hooks";
import { EventNode } from "../events/event-node.ts";
import { IDBDatabase } from "../idl/idb-database.ts";
import { internal } from "../idl/shape.ts";
import { unschedule } from "../transaction/scheduler.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import type { DatabaseState } from "./database-state.ts";

/** Who is told of a connection's beginning and end. */
export interface ConnectionOwner {
  /** Whether nothing is to be told any more of what was asked through it. */
  readonly isSilent: boolean;
  /** Whether it is being taken away, and waits for what was asked through it. */
  readonly isClosing: boolean;
  /** Called with each failure that is about to be told, before {@link isSilent} is asked. */
  observe(error: unknown): void;
  opened(connection: ConnectionState): void;
  closed(connection: ConnectionState): void;
}

/** The inner side of an `IDBDatabase`: a connection. https://www.w3.org/TR/IndexedDB-3/#connection */
export class ConnectionState extends EventNode {
  readonly target: IDBDatabase = new IDBDatabase(internal, this);
  readonly eventParent = undefined;
  readonly database: DatabaseState;
  readonly #owner: ConnectionOwner;
  /** The name that the program opened it by. */
  readonly name: string;
  readonly context: AsyncResource;
  version: number;
  closePending = false;
  /**
   * How many transactions have not finished. A number and no set: what has been
   * in a set of V8's that comes and goes outlives it by some garbage collections.
   */
  #unfinished = 0;
  /** The names of the object stores, once the connection no longer follows the database. */
  #frozenNames: readonly string[] | undefined;

  constructor(database: DatabaseState, owner: ConnectionOwner, name: string, version: number, context: AsyncResource) {
    super();
    this.context = context;
    this.database = database;
    this.name = name;
    this.version = version;
    this.#owner = owner;
    database.connections.add(this);
    owner.opened(this);
  }

  /** In no particular order. */
  get storeNames(): readonly string[] {
    return this.#frozenNames ?? [...this.database.schema.stores.keys()];
  }

  hasStore(name: string): boolean {
    return this.#frozenNames?.includes(name) ?? this.database.schema.stores.has(name);
  }

  /** No new transactions; closed when those that run have finished. */
  close(): void {
    if (this.closePending) return;
    this.closePending = true;
    this.#closeIfDone();
  }

  /** Lets the database forget it, though it was not closed. */
  abandon(): void {
    this.database.connectionClosed(this);
  }

  /** Whether it was opened through this owner. */
  isOf(owner: ConnectionOwner): boolean {
    return this.#owner === owner;
  }

  /** Whether the store has failed, and nothing is to be told of it. */
  get isSilent(): boolean {
    return this.#owner.isSilent;
  }

  /** Notes a failure that is about to be told. */
  observe(error: unknown): void {
    this.#owner.observe(error);
  }

  transactionCreated(): void {
    this.#unfinished += 1;
  }

  /** Called once for each. */
  transactionFinished(transaction: TransactionState): void {
    this.#unfinished -= 1;
    if (transaction.mode === "versionchange") this.database.upgrade = null;
    else unschedule(transaction);
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.closePending || this.#unfinished > 0 || this.#frozenNames !== undefined) return;
    this.#frozenNames = [...this.database.schema.stores.keys()];
    this.database.connectionClosed(this);
    this.#owner.closed(this);
  }
}
