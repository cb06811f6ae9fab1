import { exception } from "../errors.ts";
import type { EventHandler, EventNode } from "../events/event-node.ts";
import { defineEventHandlers, defineEventTarget } from "../events/event-target.ts";
import type { TransactionDurability, TransactionMode, TransactionState } from "../transaction/transaction-state.ts";
import { requireArguments, toDOMString } from "./convert.ts";
import { type DOMStringList, sortedNames } from "./dom-string-list.ts";
import type { IDBDatabase } from "./idb-database.ts";
import type { IDBObjectStore } from "./idb-object-store.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

let stateInside: (transaction: IDBTransaction) => TransactionState;

// It is one by defineEventTarget(), which leaves out a constructor that nothing here needs.
export interface IDBTransaction extends EventTarget {}

/** https://www.w3.org/TR/IndexedDB-3/#idbtransaction */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: both declare what defineEventTarget() makes
export class IDBTransaction {
  readonly #state: TransactionState;

  declare onabort: EventHandler;
  declare oncomplete: EventHandler;
  declare onerror: EventHandler;

  static {
    stateInside = (transaction) => transaction.#state;
  }

  /** @internal Transactions come from `IDBDatabase`. */
  constructor(key: unknown = undefined, state?: TransactionState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  get objectStoreNames(): DOMStringList {
    return sortedNames(this.#state.scopeNames);
  }

  get mode(): TransactionMode {
    return this.#state.mode;
  }

  get durability(): TransactionDurability {
    return this.#state.durability;
  }

  get db(): IDBDatabase {
    return this.#state.connection.target;
  }

  /** Why it was aborted; null where it was not, or where the program wanted it so. */
  get error(): DOMException | null {
    return this.#state.error;
  }

  objectStore(name: string): IDBObjectStore {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBTransaction.objectStore");
    const wanted = toDOMString(name);
    if (state.isFinished) throw exception("InvalidStateError", "the transaction has finished");
    const store = state.storeNamed(wanted);
    if (store === undefined) throw exception("NotFoundError", `the transaction has no object store "${wanted}"`);
    return state.handleOf(store).target;
  }

  commit(): void {
    const state = this.#state;
    if (state.phase !== "active") throw exception("InvalidStateError", "the transaction is not active");
    state.commit();
  }

  abort(): void {
    const state = this.#state;
    if (state.phase === "committing" || state.isFinished) {
      throw exception("InvalidStateError", "the transaction is being committed, or has finished");
    }
    state.abort(null);
  }
}

const nodeOf = (transaction: IDBTransaction): EventNode => stateInside(transaction);

defineEventTarget(IDBTransaction, nodeOf);
defineEventHandlers(IDBTransaction, nodeOf, ["abort", "complete", "error"]);
defineInterface(IDBTransaction);
