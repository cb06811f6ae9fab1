import type { ConnectionState } from "../database/connection-state.ts";
import { exception } from "../errors.ts";
import type { EventHandler, EventNode } from "../events/event-node.ts";
import { defineEventHandlers, defineEventTarget } from "../events/event-target.ts";
import { schedule } from "../transaction/scheduler.ts";
import {
  type TransactionDurability,
  type TransactionMode,
  TransactionState,
} from "../transaction/transaction-state.ts";
import { requireArguments, toDictionary, toDOMString, toEnum, toStringOrSequence } from "./convert.ts";
import { type DOMStringList, sortedNames } from "./dom-string-list.ts";
import type { IDBObjectStore } from "./idb-object-store.ts";
import type { IDBTransaction } from "./idb-transaction.ts";
import { createObjectStore, deleteObjectStore } from "./schema-changes.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

const MODES: readonly TransactionMode[] = ["readonly", "readwrite", "versionchange"];
const DURABILITIES: readonly TransactionDurability[] = ["default", "strict", "relaxed"];

/** The options of `transaction()`. */
export interface IDBTransactionOptions {
  /** A hint. Commits are as durable as the key store makes them, whatever it says. */
  readonly durability?: TransactionDurability;
}

/** The options of `createObjectStore()`. */
export interface IDBObjectStoreParameters {
  readonly keyPath?: string | readonly string[] | null;
  readonly autoIncrement?: boolean;
}

let stateInside: (database: IDBDatabase) => ConnectionState;

// It is one by defineEventTarget(), which leaves out a constructor that nothing here needs.
export interface IDBDatabase extends EventTarget {}

/** https://www.w3.org/TR/IndexedDB-3/#idbdatabase */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: both declare what defineEventTarget() makes
export class IDBDatabase {
  readonly #state: ConnectionState;

  declare onabort: EventHandler;
  declare onclose: EventHandler;
  declare onerror: EventHandler;
  declare onversionchange: EventHandler;

  static {
    stateInside = (database) => database.#state;
  }

  /** @internal Connections come from `IDBFactory.open()`. */
  constructor(key: unknown = undefined, state?: ConnectionState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  get name(): string {
    return this.#state.name;
  }

  get version(): number {
    return this.#state.version;
  }

  get objectStoreNames(): DOMStringList {
    return sortedNames(this.#state.storeNames);
  }

  transaction(
    storeNames: string | readonly string[],
    mode: TransactionMode = "readonly",
    options: IDBTransactionOptions = {},
  ): IDBTransaction {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBDatabase.transaction");
    const names = toStringOrSequence(storeNames);
    const wantedMode = toEnum(mode, MODES, "IDBTransactionMode");
    const { durability = "default" } = toDictionary(options, "options");
    const wantedDurability = toEnum(durability, DURABILITIES, "IDBTransactionDurability");
    if (state.database.upgrade?.connection === state) {
      throw exception("InvalidStateError", "an upgrade transaction is running");
    }
    if (state.closePending) throw exception("InvalidStateError", "the connection is closed");
    const scope = typeof names === "string" ? [names] : names.length > 1 ? [...new Set(names)] : names;
    const stores = state.database.storesNamed(scope);
    if (stores.length !== scope.length) throw exception("NotFoundError", "there is no object store of this name");
    if (stores.length === 0) throw exception("InvalidAccessError", "a transaction needs an object store");
    if (wantedMode === "versionchange") throw new TypeError('mode must be "readonly" or "readwrite"');
    const transaction = new TransactionState(state, wantedMode, wantedDurability, stores);
    schedule(transaction);
    return transaction.target;
  }

  close(): void {
    this.#state.close();
  }

  createObjectStore(name: string, options: IDBObjectStoreParameters = {}): IDBObjectStore {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBDatabase.createObjectStore");
    const newName = toDOMString(name);
    const dictionary = toDictionary(options, "options");
    const autoIncrement = Boolean(dictionary.autoIncrement);
    const path = dictionary.keyPath;
    const keyPath = path === undefined || path === null ? null : toStringOrSequence(path);
    return createObjectStore(state, newName, keyPath, autoIncrement).target;
  }

  deleteObjectStore(name: string): void {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBDatabase.deleteObjectStore");
    deleteObjectStore(state, toDOMString(name));
  }
}

const nodeOf = (database: IDBDatabase): EventNode => stateInside(database);

defineEventTarget(IDBDatabase, nodeOf);
defineEventHandlers(IDBDatabase, nodeOf, ["abort", "close", "error", "versionchange"]);
defineInterface(IDBDatabase);
