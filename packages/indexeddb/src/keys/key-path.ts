import { toText } from "@holdfast/key-store-core";
import { blobMembers } from "../values/blob-members.ts";
import { type Clone, keepsProperties } from "../values/clone.ts";
import { toKey } from "./encode.ts";
import { isIdentifierName } from "./identifier.ts";

/** A key path: one, or a list of them. */
export type KeyPath = string | readonly string[];

/** https://www.w3.org/TR/IndexedDB-3/#valid-key-path */
export function isValidKeyPath(path: KeyPath): boolean {
  if (typeof path !== "string") return path.length > 0 && path.every((each) => isValidSinglePath(each));
  return isValidSinglePath(path);
}

function isValidSinglePath(path: string): boolean {
  return path === "" || path.split(".").every(isIdentifierName);
}

const FAILURE: unique symbol = Symbol("failure");

/**
 * The key that a path finds in a value, as its bytes: `"failure"` where the
 * path leads nowhere, `"invalid"` where it leads to something that is no key.
 * The value must be a clone, or decoded: its properties are read.
 * https://www.w3.org/TR/IndexedDB-3/#extract-a-key-from-a-value-using-a-key-path
 */
export function extractKey(value: unknown, path: KeyPath): Uint8Array | "failure" | "invalid" {
  const found = evaluate(value, path);
  if (found === FAILURE) return "failure";
  return toKey(found) ?? "invalid";
}

/** The keys that a value has in an index: none, one, or with `multiEntry` one for each of an array. */
export function extractIndexKeys(value: unknown, path: KeyPath, multiEntry: boolean): Uint8Array[] {
  const found = evaluate(value, path);
  if (found === FAILURE) return [];
  if (!multiEntry || !Array.isArray(found)) {
    const key = toKey(found);
    return key === undefined ? [] : [key];
  }
  const keys = new Map<string, Uint8Array>();
  for (const each of found) {
    const key = toKey(each);
    if (key !== undefined) keys.set(toText(key), key);
  }
  return [...keys.values()];
}

function evaluate(value: unknown, path: KeyPath): unknown {
  if (typeof path === "string") return evaluateSingle(value, path);
  const found: unknown[] = [];
  for (const each of path) {
    const part = evaluateSingle(value, each);
    if (part === FAILURE) return FAILURE;
    found.push(part);
  }
  return found;
}

function evaluateSingle(value: unknown, path: string): unknown {
  if (path === "") return value;
  if (!path.includes(".")) return step(value, path);
  let current = value;
  for (const name of path.split(".")) {
    current = step(current, name);
    if (current === FAILURE) return FAILURE;
  }
  return current;
}

function step(value: unknown, name: string): unknown {
  if (typeof value === "string" && name === "length") return value.length;
  if (typeof value !== "object" || value === null) return FAILURE;
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    if (value instanceof Blob) return step(blobMembers(value), name);
    // Its members are no own properties, and the stack that Node gives it is another one each time it is read.
    if (value instanceof DOMException) return FAILURE;
  }
  if (!Object.hasOwn(value, name)) return FAILURE;
  const found = (value as Record<string, unknown>)[name];
  return found === undefined ? FAILURE : found;
}

/** Whether a key could be put into a value at this path. https://www.w3.org/TR/IndexedDB-3/#check-that-a-key-could-be-injected-into-a-value */
export function canInjectKey(value: unknown, path: string): boolean {
  const names = path.split(".");
  names.pop();
  let current = value;
  for (const name of names) {
    if (!isObject(current)) return false;
    if (!Object.hasOwn(current, name)) return true;
    current = current[name];
  }
  return isObject(current);
}

/**
 * Puts a key into a clone for which {@link canInjectKey} holds. On an object
 * whose properties are not stored, such as a Date or a Blob, it is not put: an
 * index would enter what no reader of the value finds there.
 */
export function injectKey(clone: Clone, path: string, key: unknown): void {
  const names = path.split(".");
  const last = names.pop() as string; // a split string has one part at least
  let current = clone.value as Record<string, unknown>;
  for (const name of names) {
    if (!keepsProperties(clone, current)) return;
    if (!Object.hasOwn(current, name)) define(current, name, {});
    current = current[name] as Record<string, unknown>;
  }
  if (keepsProperties(clone, current)) define(current, last, key);
}

/** Not an assignment: what programs put on `Object.prototype` is not to be met. */
function define(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
