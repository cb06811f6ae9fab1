import { KeyResult } from "../keys/decode.ts";
import type { Operation } from "../transaction/operation.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import type { EncodedValue } from "../values/encode.ts";

/**
 * Puts a record where nothing need be known of what is there: no index has
 * entries of an old one, no key is generated, and an old one is overwritten.
 * Programs put many of these at once.
 */
export class PutRecord implements Operation {
  readonly #collection: string;
  readonly #key: Uint8Array;
  readonly #value: EncodedValue;

  constructor(collection: string, key: Uint8Array, value: EncodedValue) {
    this.#collection = collection;
    this.#key = key;
    this.#value = value;
  }

  get writes(): boolean {
    return true;
  }

  get scans(): boolean {
    return false;
  }

  run(transaction: TransactionState): unknown {
    const value = this.#value;
    if (value instanceof Promise) return value.then((bytes) => this.#put(transaction, bytes));
    return this.#put(transaction, value);
  }

  #put(transaction: TransactionState, value: Uint8Array): KeyResult | undefined {
    if (transaction.isFinished) return undefined;
    transaction.changes.put(this.#collection, this.#key, value);
    return new KeyResult(this.#key);
  }
}
