import type { Change, KeyRange, Page } from "@holdfast/key-store-core";
import type { Json } from "../http/homeserver-api.ts";

/** A record of the client, opened. */
interface SealedRecord<T extends Json> {
  readonly key: Uint8Array;
  readonly value: T;
}

/**
 * One collection of the client's own records in a device's store. Values are
 * JSON, sealed under a key derived from the store's key with device, collection
 * and record key as associated data; in a store that is kept in plaintext they
 * are plain. Reads see what the running batch has written; `put` and `delete`
 * only make changes, which whoever makes the commit hands to `DeviceStore.commit`.
 */
export interface SealedCollection<T extends Json> {
  /** What the collection is called in the device store: `client/` and the name that it was opened by. */
  readonly name: string;
  /**
   * @throws `ERR_KEY_STORE_CORRUPT` for a record that does not open, and what reads of a device store throw
   */
  get(key: Uint8Array): Promise<T | undefined>;
  list(range: KeyRange, page: Omit<Page, "keysOnly">): Promise<SealedRecord<T>[]>;
  count(range?: KeyRange): Promise<number>;
  put(key: Uint8Array, value: T): Change;
  delete(key: Uint8Array): Change;
  deleteRange(range: KeyRange): Change;
  /** A record key that stands for a name (a room id, a session id) and does not show it: a keyed hash of 16 bytes. */
  keyOf(...names: readonly string[]): Uint8Array;
}

/** Opens the client's collections on one device store. */
export type OpenCollection = <T extends Json>(name: string) => SealedCollection<T>;
