import { MAX_COLLECTION_NAME_BYTES } from "@holdfast/key-store-core";

/** The collection that lists the databases of a device store. */
export const CATALOG = "idb";

/** How much of each name an operator gets to read, in UTF-16 code units. */
const NAME_UNITS = 25;

/**
 * The name of a new collection. The numbers make it unique; the names behind
 * them are for people, and are those of the moment it was made: renaming moves
 * no records.
 */
export function collectionName(numbers: readonly number[], names: readonly string[]): string {
  const readable = names.map((name) => readableName(name)).join("/");
  const collection = `idb:${numbers.join(".")} ${readable}`;
  return Buffer.byteLength(collection) <= MAX_COLLECTION_NAME_BYTES ? collection : `idb:${numbers.join(".")}`;
}

/** The printable part of a name: other characters are shown as `?`. */
function readableName(name: string): string {
  const printable = name.toWellFormed().replace(/[\p{C}\p{Z}\ufffd]/gu, "?");
  // Not through the middle of a surrogate pair.
  return printable.slice(0, NAME_UNITS).toWellFormed().replace("\ufffd", "?");
}
