import type { KeyPath } from "../keys/key-path.ts";
import type { StoreLock } from "../transaction/scheduler.ts";

/** What the catalog says of an index. */
export interface IndexSchema {
  name: string;
  readonly collection: string;
  readonly keyPath: KeyPath;
  readonly unique: boolean;
  readonly multiEntry: boolean;
  /** Whether the running upgrade transaction has deleted it. */
  deleted: boolean;
}

/** What the catalog says of an object store. Changed by upgrade transactions, which undo it when they abort. */
export interface StoreSchema {
  /** Unique in its database, never used again. */
  readonly id: number;
  name: string;
  readonly collection: string;
  readonly keyPath: KeyPath | null;
  readonly autoIncrement: boolean;
  /** Never changed, but replaced: handles of earlier transactions keep what was there then. */
  indexes: ReadonlyMap<string, IndexSchema>;
  /** The key generator's current number: the next key it gives. */
  nextKey: number;
  /** Whether the running upgrade transaction has deleted it. */
  deleted: boolean;
  /** Who may use it. */
  readonly lock: StoreLock;
}

/** What the catalog says of a database. */
export interface DatabaseSchema {
  /** Unique in its device store, never used again. */
  readonly id: number;
  readonly name: string;
  version: number;
  readonly stores: Map<string, StoreSchema>;
  /** The number of the next object store or index. */
  nextId: number;
}
