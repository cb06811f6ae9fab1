import { isValidKeyPath, type KeyPath } from "../keys/key-path.ts";

/**
 * What the catalog's records hold. Names may be any UTF-16: one that is no
 * well-formed string is written as its code units.
 */
export type StoredName = string | readonly number[];

export interface StoredIndex {
  readonly name: StoredName;
  readonly collection: string;
  readonly keyPath: StoredName | readonly StoredName[];
  readonly composite: boolean;
  readonly unique: boolean;
  readonly multiEntry: boolean;
}

export interface StoredStore {
  readonly id: number;
  readonly name: StoredName;
  readonly collection: string;
  readonly keyPath: StoredName | readonly StoredName[] | null;
  readonly composite: boolean;
  readonly autoIncrement: boolean;
  readonly indexes: readonly StoredIndex[];
}

export interface StoredDatabase {
  readonly name: StoredName;
  readonly version: number;
  readonly nextId: number;
  readonly stores: readonly StoredStore[];
}

/** A name as it is stored. */
export function storedName(name: string): StoredName {
  if (name.isWellFormed()) return name;
  return Array.from({ length: name.length }, (_, index) => name.charCodeAt(index));
}

/** A key path as it is stored. */
export function storedPath(path: KeyPath): StoredName | StoredName[] {
  return typeof path === "string" ? storedName(path) : path.map(storedName);
}

/*
 * What follows reads what was stored, by whomever.
 * All throw DataError for what this package does not write.
 */

/** The error of a catalog that is not what was written. */
export function malformedCatalog(what: string): DOMException {
  return new DOMException(`the stored catalog of databases is not what was written: ${what}`, "DataError");
}

/** An object's properties. */
export function readObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformedCatalog("an entry is none");
  return value as Record<string, unknown>;
}

export function readList(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformedCatalog("a list is none");
  return value;
}

export function readBoolean(value: unknown): boolean {
  if (typeof value !== "boolean") throw malformedCatalog("a flag is none");
  return value;
}

/** An id, a version or another number that counts from 1. */
export function readNumber(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw malformedCatalog("a number is out of range");
  return value as number;
}

export function readName(value: unknown): string {
  if (typeof value === "string") return value;
  return readList(value).map(readUnit).join("");
}

/** The next key that a key generator gives: infinite where it has given its last. */
export function readGenerator(value: unknown): number {
  if (value === Number.POSITIVE_INFINITY || value === 2 ** 53) return value;
  return readNumber(value);
}

/** The name of an object store's collection; with `isIndex`, of one of its indexes. */
export function readCollection(value: unknown, databaseId: number, storeId: number, isIndex: boolean): string {
  if (typeof value !== "string") throw malformedCatalog("a collection has no name");
  const [, database, store, index] = COLLECTION.exec(value) ?? [];
  if (Number(database) !== databaseId || Number(store) !== storeId || (index !== undefined) !== isIndex) {
    throw malformedCatalog("a collection has another's name");
  }
  return value;
}

/** The numbers that a collection's name begins with. */
const COLLECTION = /^idb:(\d+)\.(\d+)(?:\.(\d+))?(?: |$)/;

export function readPath(value: unknown, composite: boolean): KeyPath {
  const path = composite ? readList(value).map(readName) : readName(value);
  if (!isValidKeyPath(path)) throw malformedCatalog("a key path is not valid");
  return path;
}

/** Things by their names, of which none may be there twice. */
export function byName<T extends { readonly name: string }>(things: readonly T[]): Map<string, T> {
  const map = new Map(things.map((each) => [each.name, each]));
  if (map.size !== things.length) throw malformedCatalog("a name is there twice");
  return map;
}

function readUnit(value: unknown): string {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffff) {
    throw malformedCatalog("a name has what is no code unit");
  }
  return String.fromCharCode(value);
}
