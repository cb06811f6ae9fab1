import { KeyStoreError } from "./errors.ts";
import type { DeviceRef } from "./key-store.ts";
import {
  type Change,
  type KeyRange,
  MAX_COLLECTION_NAME_BYTES,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  type Page,
} from "./records.ts";

const MAX_ID_BYTES = 255;

/** Throws `ERR_KEY_STORE_INVALID_ARGUMENT` with this message. */
export function invalid(message: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_INVALID_ARGUMENT", message);
}

/** Throws `ERR_KEY_STORE_CONFIG` for an option. */
export function config(name: string, shape: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_CONFIG", `the key store option ${name} must be ${shape}`);
}

function checkText(what: string, text: unknown, maxBytes: number): asserts text is string {
  const isText = typeof text === "string" && text !== "" && text.isWellFormed() && !text.includes("\0");
  if (!isText || text.length > maxBytes || Buffer.byteLength(text) > maxBytes) {
    invalid(`${what} must be 1 to ${maxBytes} bytes of well-formed UTF-8 without U+0000`);
  }
}

/** The options themselves, which are an object. */
export function checkOptions<Options>(options: Options): Options {
  if (typeof options !== "object" || options === null) invalid("options are an object");
  return options;
}

/** Throws unless an option is one of these. */
export function checkOneOf<T extends string>(name: string, value: T, ...choices: readonly T[]): void {
  if (!choices.includes(value)) invalid(`${name} is "${choices.join('" or "')}"`);
}

export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && typeof signal?.throwIfAborted !== "function") invalid("signal is an AbortSignal");
  return signal;
}

/** A copy of a valid device reference. */
export function checkDevice(device: DeviceRef): DeviceRef {
  if (typeof device !== "object" || device === null) invalid("a device is { userId, deviceId }");
  const { userId, deviceId } = device;
  checkText("userId", userId, MAX_ID_BYTES);
  checkText("deviceId", deviceId, MAX_ID_BYTES);
  return Object.freeze({ userId, deviceId });
}

/** The name that was found to be valid last: most calls name the collection of the call before. */
let lastCollection: string | undefined;

export function checkCollection(collection: string): void {
  if (collection === lastCollection) return;
  checkText("a collection's name", collection, MAX_COLLECTION_NAME_BYTES);
  lastCollection = collection;
}

export function checkKey(key: Uint8Array): void {
  checkBytes("a key", key, MAX_KEY_BYTES);
}

function checkValue(value: Uint8Array): void {
  checkBytes("a value", value, MAX_VALUE_BYTES);
}

function checkBytes(what: string, bytes: Uint8Array, most: number): void {
  if (bytes instanceof Uint8Array && bytes.byteLength <= most) return;
  invalid(`${what} is a Uint8Array of at most ${most} bytes, not ${bytes?.byteLength ?? typeof bytes}`);
}

/** What an overlay holds of one key. */
export function checkEntry(collection: string, key: Uint8Array, value: Uint8Array | undefined): void {
  checkCollection(collection);
  checkKey(key);
  if (value !== undefined) checkValue(value);
}

export function checkRange(range: KeyRange): void {
  const { gt, gte, lt, lte } = range ?? {};
  const isTwice = (gt !== undefined && gte !== undefined) || (lt !== undefined && lte !== undefined);
  const isBound = (bound: unknown): boolean => bound === undefined || bound instanceof Uint8Array;
  if (typeof range !== "object" || range === null || isTwice || ![gt, gte, lt, lte].every(isBound)) {
    invalid("a range is { gt or gte, lt or lte }, each a Uint8Array");
  }
}

export function checkPage(page: Page): void {
  if (typeof page !== "object" || page === null || !Number.isSafeInteger(page.limit) || page.limit < 1) {
    invalid("a page's limit is a positive integer");
  }
}

export function checkChange(change: Change): void {
  if (typeof change !== "object" || change === null) invalid("a change is an object");
  checkCollection(change.collection);
  switch (change.type) {
    case "put":
      checkKey(change.key);
      checkValue(change.value);
      return;
    case "delete":
      checkKey(change.key);
      return;
    case "deleteRange":
      checkRange(change.range);
      return;
    case "dropCollection":
      return;
    default:
      invalid("a change's type is put, delete, deleteRange or dropCollection");
  }
}
