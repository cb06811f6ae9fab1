import { defineInterface, illegalConstructor, internal } from "./shape.ts";

/** One of the results of `getAllRecords()`. https://www.w3.org/TR/IndexedDB-3/#record-interface */
export class IDBRecord {
  readonly #key: unknown;
  readonly #primaryKey: unknown;
  readonly #value: unknown;

  /** @internal Records come from `getAllRecords()`. */
  constructor(token: unknown = undefined, key?: unknown, primaryKey?: unknown, value?: unknown) {
    if (token !== internal) throw illegalConstructor();
    this.#key = key;
    this.#primaryKey = primaryKey;
    this.#value = value;
  }

  /** The index key, or of an object store the primary key. */
  get key(): unknown {
    return this.#key;
  }

  get primaryKey(): unknown {
    return this.#primaryKey;
  }

  get value(): unknown {
    return this.#value;
  }
}

defineInterface(IDBRecord);

/** Makes one of the results of `getAllRecords()`. */
export function createRecord(key: unknown, primaryKey: unknown, value: unknown): IDBRecord {
  return new IDBRecord(internal, key, primaryKey, value);
}
