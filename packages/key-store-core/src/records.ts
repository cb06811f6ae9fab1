/** The longest key, in bytes, that every key store takes. */
export const MAX_KEY_BYTES = 1024;

/** The longest value, in bytes, that every key store takes: 128 MiB. */
export const MAX_VALUE_BYTES = 128 * 1024 * 1024;

/** The longest name of a collection, in bytes of UTF-8. */
export const MAX_COLLECTION_NAME_BYTES = 255;

/**
 * A key and its value. Byte arrays that go into a store or come out of it may
 * be shared with its caches: neither side changes them afterwards.
 */
export interface StoredRecord {
  /** 0 to {@link MAX_KEY_BYTES} bytes. */
  readonly key: Uint8Array;
  /** 0 to {@link MAX_VALUE_BYTES} bytes; empty where only keys were asked for. */
  readonly value: Uint8Array;
}

/**
 * Keys between two bounds, in bytewise order; a missing bound is no bound.
 * `gt` and `gte`, or `lt` and `lte`, together are an error. A range that holds
 * no key is not.
 */
export interface KeyRange {
  readonly gt?: Uint8Array | undefined;
  readonly gte?: Uint8Array | undefined;
  readonly lt?: Uint8Array | undefined;
  readonly lte?: Uint8Array | undefined;
}

/** How much of a range to list, and from which end. */
export interface Page {
  /** The most records to return: a positive integer. */
  readonly limit: number;
  /** From the greatest key down. Default: `false`. */
  readonly reverse?: boolean | undefined;
  /** Leave the values out: each is empty. Default: `false`. */
  readonly keysOnly?: boolean | undefined;
}

/** One change to a collection. Collections come to be with their first record. */
export type Change =
  | { readonly type: "put"; readonly collection: string; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "delete"; readonly collection: string; readonly key: Uint8Array }
  | { readonly type: "deleteRange"; readonly collection: string; readonly range: KeyRange }
  | { readonly type: "dropCollection"; readonly collection: string };

/**
 * What can be read of a device's records.
 *
 * Every read throws `ERR_KEY_STORE_INVALID_ARGUMENT` for arguments outside the
 * contract, and the store's failure (`ERR_KEY_STORE_UNAVAILABLE`,
 * `ERR_KEY_STORE_CORRUPT`, `ERR_KEY_STORE_POISONED`, …) where it cannot answer.
 */
export interface RecordReader {
  /** The values of these keys, in their order; `undefined` where there is no such record. */
  getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  /** The first records of a range in bytewise order, or its last ones from the end; `[]` where there are none. */
  list(collection: string, range: KeyRange, page: Page): Promise<StoredRecord[]>;
  /** How many records a range holds; all of the collection where no range is given. */
  count(collection: string, range?: KeyRange): Promise<number>;
  /**
   * What {@link RecordReader.getMany} would answer for a key, where that is known without waiting for anything;
   * `"unknown"` where it is not. A reader without it never knows.
   */
  peek?(collection: string, key: Uint8Array): Known;
}

/** A record's value, `undefined` where there is no such record, or `"unknown"` where somebody has to be asked. */
export type Known = Uint8Array | undefined | "unknown";
