import { IDBObjectStore } from "../idl/idb-object-store.ts";
import { internal } from "../idl/shape.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { IndexState } from "./index-state.ts";

/** The inner side of an `IDBObjectStore`. https://www.w3.org/TR/IndexedDB-3/#object-store-handle-construct */
export class ObjectStoreState {
  readonly target: IDBObjectStore = new IDBObjectStore(internal, this);
  readonly transaction: TransactionState;
  readonly store: StoreSchema;
  readonly index = null;
  name: string;
  /** The indexes, as far as this handle knows. */
  indexes: ReadonlyMap<string, IndexSchema>;

  #handles: Map<IndexSchema, IndexState> | undefined;

  constructor(transaction: TransactionState, store: StoreSchema) {
    this.transaction = transaction;
    this.store = store;
    this.name = store.name;
    this.indexes = store.indexes;
  }

  get isDeleted(): boolean {
    return this.store.deleted;
  }

  /** The handle of an index: always the same one. */
  handleOf(index: IndexSchema): IndexState {
    this.#handles ??= new Map();
    let handle = this.#handles.get(index);
    if (handle === undefined) {
      handle = new IndexState(this, index);
      this.#handles.set(index, handle);
    }
    return handle;
  }
}
