import { MAX_UNSIGNED_LONG, requireArguments, toDOMString } from "./convert.ts";
import { defineInterface, illegalConstructor, internal } from "./shape.ts";

/** A list of names. https://html.spec.whatwg.org/multipage/common-dom-interfaces.html#the-domstringlist-interface */
export class DOMStringList {
  readonly #strings: readonly string[];

  /** The names, by their positions. */
  readonly [index: number]: string;

  /** @internal Lists come from `objectStoreNames` and `indexNames`. */
  constructor(key: unknown = undefined, strings?: readonly string[]) {
    if (key !== internal || strings === undefined) throw illegalConstructor();
    this.#strings = strings;
    // They never change, so that properties do what an exotic object would.
    strings.forEach((value, index) => {
      Object.defineProperty(this, index, { value, enumerable: true, configurable: true });
    });
  }

  get length(): number {
    return this.#strings.length;
  }

  /** The name at a position; null where there is none. */
  item(index: number): string | null {
    const strings = this.#strings;
    requireArguments(arguments.length, 1, "DOMStringList.item");
    // unsigned long, modulo 2^32
    const at = Number(index) >>> 0;
    return at <= MAX_UNSIGNED_LONG ? (strings[at] ?? null) : null;
  }

  contains(string: string): boolean {
    const strings = this.#strings;
    requireArguments(arguments.length, 1, "DOMStringList.contains");
    return strings.includes(toDOMString(string));
  }

  declare [Symbol.iterator]: () => IterableIterator<string>;
}

Object.defineProperty(DOMStringList.prototype, Symbol.iterator, {
  value: Array.prototype[Symbol.iterator],
  writable: true,
  configurable: true,
});
defineInterface(DOMStringList);

/** A list of names, sorted by their code units. */
export function sortedNames(names: Iterable<string>): DOMStringList {
  // The default order of sort() is that of code units.
  return new DOMStringList(internal, [...names].sort());
}
