import { extractIndexKeys } from "../keys/key-path.ts";
import { entryPlace } from "../storage/index-entries.ts";
import type { IndexSchema } from "../storage/schema.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { decodeValue } from "../values/decode.ts";

/** Takes a record that is about to go, or to be replaced, out of the indexes. */
export function removeIndexEntries(
  transaction: TransactionState,
  indexes: Iterable<IndexSchema>,
  primaryKey: Uint8Array,
  stored: Uint8Array,
): void {
  const value = decodeValue(stored);
  for (const index of indexes) {
    for (const key of extractIndexKeys(value, index.keyPath, index.multiEntry)) {
      transaction.changes.remove(index.collection, entryPlace(index, key, primaryKey));
    }
  }
}
