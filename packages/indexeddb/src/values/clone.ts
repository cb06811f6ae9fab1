import { types } from "node:util";
import { isPlatformObject } from "./platform-objects.ts";

/** An object that neither CBOR nor V8 can hold, and what stands for it in the clone. */
export interface Attachment {
  /** Has the members that key paths may ask a Blob or File for. */
  readonly placeholder: object;
  readonly original: Blob | DOMException;
}

/** A structured clone, as far as it is needed to be written. */
export interface Clone {
  /** Shares with the original only what no program sees: it is written before the program goes on. */
  readonly value: unknown;
  /** Whether CBOR restores exactly this: a tree of plain objects, dense arrays, well-formed strings, numbers, bytes. */
  readonly plain: boolean;
  readonly attachments: readonly Attachment[];
}

/**
 * Reads a value as the structured clone algorithm does: each property once, in
 * order, getters included, whose exceptions are passed on.
 * https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializeforstorage
 *
 * @throws `DataCloneError` for what cannot be cloned
 */
export function clone(value: unknown): Clone {
  if (typeof value === "string") return { value, plain: value.isWellFormed(), attachments: NONE };
  const cloner = new Cloner();
  const cloned = cloner.clone(value);
  return { value: cloned, plain: cloner.plain, attachments: cloner.attachments };
}

const NONE: readonly Attachment[] = Object.freeze([]);

/**
 * Whether a property of this name can be assigned to a new object. What
 * `Object.prototype` has, such as `__proto__`, may be an accessor or read-only:
 * neither this library nor the CBOR one then defines it by assigning.
 */
export function isAssignable(name: string): boolean {
  return !(name in Object.prototype);
}

class Cloner {
  plain = true;
  attachments: readonly Attachment[] = NONE;
  /** The first object, and all others: most values have few. */
  #first: object | undefined;
  #firstClone: object | undefined;
  #clones: Map<object, object> | undefined;

  clone(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        if (this.plain && !value.isWellFormed()) this.plain = false;
        return value;
      case "number":
        if (value === 0 && Object.is(value, -0)) this.plain = false;
        return value;
      case "boolean":
      case "undefined":
        return value;
      case "bigint":
        this.plain = false;
        return value;
      case "object":
        return value === null ? null : this.#object(value);
      default:
        throw uncloneable(value);
    }
  }

  #object(value: object): object {
    const known = value === this.#first ? this.#firstClone : this.#clones?.get(value);
    if (known !== undefined) {
      this.plain = false;
      return known;
    }
    if (types.isProxy(value)) throw uncloneable(value);
    if (Array.isArray(value)) return this.#array(value);
    if (Object.getPrototypeOf(value) === Object.prototype && !types.isModuleNamespaceObject(value)) {
      return this.#properties(value, {});
    }
    return this.#other(value);
  }

  /** Copies own enumerable properties. */
  #properties(value: object, copy: object): object {
    this.#remember(value, copy);
    for (const key of Object.keys(value)) {
      // A getter may have deleted it meanwhile.
      if (!Object.hasOwn(value, key)) continue;
      const property = this.clone((value as Record<string, unknown>)[key]);
      if (this.plain && !key.isWellFormed()) this.plain = false;
      if (!isAssignable(key) || key in copy) {
        this.plain = false;
        Object.defineProperty(copy, key, { value: property, ...DATA_PROPERTY });
      } else (copy as Record<string, unknown>)[key] = property;
    }
    return copy;
  }

  #array(value: readonly unknown[]): object {
    const { length } = value;
    const keys = Object.keys(value);
    const copy: unknown[] = [];
    // A length without elements behind it must not take their memory.
    if (keys.length !== length || (length > 0 && keys[length - 1] !== String(length - 1))) {
      this.plain = false;
      copy.length = length;
      return this.#properties(value, copy);
    }
    this.#remember(value, copy);
    for (let index = 0; index < length; index += 1) {
      if (index in value) copy[index] = this.clone(value[index]);
      else {
        this.plain = false;
        copy.length = index + 1;
      }
    }
    return copy;
  }

  #other(value: object): object {
    if (ArrayBuffer.isView(value)) return this.#view(value);
    if (isPlatformObject(value)) {
      if (value instanceof Blob || value instanceof DOMException) return this.#attach(value);
      throw uncloneable(value);
    }
    if (types.isMap(value)) return this.#map(value);
    if (types.isSet(value)) return this.#set(value);
    if (types.isSharedArrayBuffer(value)) throw uncloneable(value);
    if (isHeldByV8(value)) {
      this.plain = false;
      this.#remember(value, value);
      return value;
    }
    if (isNotData(value)) throw uncloneable(value);
    return this.#properties(value, {});
  }

  #remember(value: object, copy: object): void {
    if (this.#first === undefined) {
      this.#first = value;
      this.#firstClone = copy;
      return;
    }
    this.#clones ??= new Map();
    this.#clones.set(value, copy);
  }

  #view(value: ArrayBufferView): object {
    const { buffer } = value;
    if (types.isSharedArrayBuffer(buffer)) throw uncloneable(value);
    // Node cuts most Buffers out of one pool: it is no part of them.
    if (Buffer.isBuffer(value)) {
      const copy = Uint8Array.from(value);
      this.#remember(value, copy);
      return copy;
    }
    const whole = value.byteOffset === 0 && value.byteLength === buffer.byteLength && !buffer.resizable;
    // Two views of one buffer still share it when they come back: V8's format keeps that.
    if (!whole || !types.isUint8Array(value) || buffer.detached || this.#clones?.has(buffer)) this.plain = false;
    this.#remember(value, value);
    this.#remember(buffer, buffer);
    return value;
  }

  #map(value: Map<unknown, unknown>): object {
    this.plain = false;
    const copy = new Map<unknown, unknown>();
    this.#remember(value, copy);
    for (const [key, member] of [...Map.prototype.entries.call(value)]) copy.set(this.clone(key), this.clone(member));
    return copy;
  }

  #set(value: Set<unknown>): object {
    this.plain = false;
    const copy = new Set<unknown>();
    this.#remember(value, copy);
    for (const member of [...Set.prototype.values.call(value)]) copy.add(this.clone(member));
    return copy;
  }

  #attach(original: Blob | DOMException): object {
    this.plain = false;
    const placeholder = placeholderOf(original);
    this.attachments = [...this.attachments, { placeholder, original }];
    this.#remember(original, placeholder);
    return placeholder;
  }
}

const DATA_PROPERTY = { writable: true, enumerable: true, configurable: true } as const;

function placeholderOf(original: Blob | DOMException): object {
  if (!(original instanceof Blob)) return {};
  const { size, type } = original;
  return original instanceof File
    ? { size, type, name: original.name, lastModified: original.lastModified }
    : { size, type };
}

/** Objects with more than properties that `v8.serialize` restores. */
function isHeldByV8(value: object): boolean {
  return (
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isArrayBuffer(value) ||
    types.isNumberObject(value) ||
    types.isStringObject(value) ||
    types.isBooleanObject(value) ||
    types.isBigIntObject(value)
  );
}

/** Objects of the language with more than properties that are not cloned. */
function isNotData(value: object): boolean {
  return (
    types.isPromise(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isSymbolObject(value) ||
    types.isGeneratorObject(value) ||
    types.isMapIterator(value) ||
    types.isSetIterator(value) ||
    types.isExternal(value) ||
    types.isModuleNamespaceObject(value) ||
    value instanceof WeakRef ||
    value instanceof FinalizationRegistry
  );
}

/** The error of a value that cannot be cloned. */
function uncloneable(value: unknown): DOMException {
  let what: string = typeof value;
  if (typeof value === "object" && value !== null) {
    what = types.isProxy(value) ? "a Proxy" : Object.prototype.toString.call(value);
  } else if (typeof value === "symbol") what = value.toString();
  return new DOMException(`${what} could not be cloned`, "DataCloneError");
}
