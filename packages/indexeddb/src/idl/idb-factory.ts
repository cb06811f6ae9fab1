import { compareBytes } from "@holdfast/key-store-core";
import { asException } from "../errors.ts";
import { MAX_UNSIGNED_LONG_LONG, requireArguments, toDOMString, toUnsigned } from "./convert.ts";
import type { IDBOpenDBRequest } from "./idb-request.ts";
import { requireKey } from "./query.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

/** One of the results of `databases()`. */
export interface IDBDatabaseInfo {
  readonly name: string;
  readonly version: number;
}

/** What a factory does with what it is asked: the same for one device store and for many. */
export interface FactoryState {
  open(name: string, version: number | undefined): IDBOpenDBRequest;
  delete(name: string): IDBOpenDBRequest;
  databases(): Promise<IDBDatabaseInfo[]>;
}

/** https://www.w3.org/TR/IndexedDB-3/#idbfactory */
export class IDBFactory {
  readonly #state: FactoryState;

  /** @internal Factories come from `createIndexedDB()`. */
  constructor(key: unknown = undefined, state?: FactoryState) {
    if (key !== internal || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  open(name: string, version: unknown = undefined): IDBOpenDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBFactory.open");
    const wanted = toDOMString(name);
    const number = version === undefined ? undefined : toUnsigned(version, MAX_UNSIGNED_LONG_LONG, "version");
    if (number === 0) throw new TypeError("version must not be 0");
    return state.open(wanted, number);
  }

  deleteDatabase(name: string): IDBOpenDBRequest {
    const state = this.#state;
    requireArguments(arguments.length, 1, "IDBFactory.deleteDatabase");
    return state.delete(toDOMString(name));
  }

  /**
   * The databases there are, with their versions. Rejects as requests fail:
   * with `UnknownError` where the store does, with `DataError` where what is
   * stored of the databases is not what was written.
   */
  async databases(): Promise<IDBDatabaseInfo[]> {
    const state = this.#state;
    try {
      return await state.databases();
    } catch (error) {
      throw asException(error);
    }
  }

  /** The order of two keys: -1, 0 or 1. Throws `DataError` for a value that is none. */
  cmp(first: unknown, second: unknown): number {
    this.#state;
    requireArguments(arguments.length, 2, "IDBFactory.cmp");
    const order = compareBytes(requireKey(first), requireKey(second));
    return Math.sign(order);
  }
}

defineInterface(IDBFactory);
