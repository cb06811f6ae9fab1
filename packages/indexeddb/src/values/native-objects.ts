/** Functions that were asked, and whether they are written in JavaScript. */
const native = new WeakMap<object, boolean>();

/**
 * Whether an object inherits from something that is not written in JavaScript,
 * as objects do that have more than properties: those of `Intl` and
 * `WebAssembly`, iterators, handles of Node.js. Others may do so too, such as
 * those of a class that extends `Iterator`.
 */
export function mayBeNative(value: object): boolean {
  let prototype: object | null = Object.getPrototypeOf(value);
  while (prototype !== null) {
    const next: object | null = Object.getPrototypeOf(prototype);
    // The last one is Object.prototype, of whatever realm.
    if (next === null) return false;
    if (isNativeFunction(ownValue(prototype, "constructor"))) return true;
    // %IteratorPrototype% has an accessor for its constructor.
    if (isNativeFunction(ownValue(prototype, Symbol.iterator))) return true;
    if (isNativeFunction(ownValue(prototype, Symbol.asyncIterator))) return true;
    prototype = next;
  }
  return false;
}

function ownValue(object: object, name: PropertyKey): unknown {
  return Object.getOwnPropertyDescriptor(object, name)?.value;
}

function isNativeFunction(value: unknown): boolean {
  if (typeof value !== "function") return false;
  let answer = native.get(value);
  if (answer === undefined) {
    answer = /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(value));
    native.set(value, answer);
  }
  return answer;
}
