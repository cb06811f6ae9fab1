import { IDBIndex } from "../idl/idb-index.ts";
import { internal } from "../idl/shape.ts";
import type { IndexSchema, StoreSchema } from "../storage/schema.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import type { ObjectStoreState } from "./object-store-state.ts";

/** The inner side of an `IDBIndex`. https://www.w3.org/TR/IndexedDB-3/#index-handle-construct */
export class IndexState {
  readonly target: IDBIndex = new IDBIndex(internal, this);
  readonly objectStore: ObjectStoreState;
  readonly index: IndexSchema;
  name: string;

  constructor(objectStore: ObjectStoreState, index: IndexSchema) {
    this.objectStore = objectStore;
    this.index = index;
    this.name = index.name;
  }

  get store(): StoreSchema {
    return this.objectStore.store;
  }

  get transaction(): TransactionState {
    return this.objectStore.transaction;
  }

  get isDeleted(): boolean {
    return this.index.deleted || this.objectStore.isDeleted;
  }
}

/** An object store's handle, or an index's: what records are read from. */
export type SourceState = ObjectStoreState | IndexState;
