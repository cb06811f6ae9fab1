import { types } from "node:util";
import { blobMembers } from "./blob-members.ts";
import { CborWriter } from "./cbor-writer.ts";
import { decodeValue } from "./decode.ts";
import { FORMAT } from "./format.ts";
import { isHeldByV8, isNotData, isRefusedByV8 } from "./language-objects.ts";
import { MetObjects } from "./met-objects.ts";
import { mayBeNative } from "./native-objects.ts";
import { isPlatformObject } from "./platform-objects.ts";

/** An object that neither CBOR nor V8 can hold, and what stands for it in the clone. */
export interface Attachment {
  /** Has the members that key paths may ask a Blob or File for. */
  readonly placeholder: object;
  readonly original: Blob | DOMException;
}

/** A structured clone, as far as it is needed to be written. */
export interface Clone {
  readonly value: unknown;
  /**
   * Whether buffers, and views of them, are the original's own. Nobody sees it
   * where the value is written before the program goes on; where it is not,
   * {@link ownClone} copies them.
   */
  readonly shares: boolean;
  /**
   * The bytes to be stored, where CBOR restores exactly this: a tree of plain
   * objects, dense arrays, well-formed strings, numbers, bytes.
   */
  readonly plain: Uint8Array | undefined;
  readonly attachments: readonly Attachment[];
}

/**
 * Reads a value as the structured clone algorithm does: each property once, in
 * order, getters included, whose exceptions are passed on. What it reads it
 * writes as CBOR at once, as long as that is plain data.
 * https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializeforstorage
 *
 * @throws `DataCloneError` for what cannot be cloned
 */
export function clone(value: unknown): Clone {
  // A getter may come back here: it gets a cloner of its own.
  const cloner = spare ?? new Cloner();
  spare = undefined;
  try {
    return cloner.cloneWhole(value);
  } finally {
    spare = cloner;
  }
}

/**
 * A clone that stays as it is, whatever the program does to the original.
 *
 * @throws `DataCloneError` for a buffer that is detached
 */
export function ownClone(clone: Clone): Clone {
  if (!clone.shares) return clone;
  const { value, plain, attachments } = clone;
  if (plain !== undefined) return { value: decodeValue(plain), shares: false, plain, attachments };
  const [copy, placeholders] = structuredClone([value, attachments.map((each) => each.placeholder)] as const);
  const own = attachments.map(({ original }, nth) => ({ placeholder: placeholders[nth] as object, original })); // as many
  return { value: copy, shares: false, plain, attachments: own };
}

/** Whether what is put on an object of a clone is stored with it: true of plain objects and arrays alone. */
export function keepsProperties({ attachments }: Clone, object: object): boolean {
  if (attachments.some(({ placeholder }) => placeholder === object)) return false;
  return Array.isArray(object) || Object.getPrototypeOf(object) === Object.prototype;
}

const NONE: readonly Attachment[] = Object.freeze([]);

class Cloner {
  readonly #cbor = new CborWriter();
  readonly #met = new MetObjects();
  /** Where the clone is written; undefined once it holds what is not plain. */
  writer: CborWriter | undefined;
  attachments = NONE;
  shares = false;

  cloneWhole(value: unknown): Clone {
    this.#cbor.begin(FORMAT.cbor);
    this.writer = this.#cbor;
    try {
      const cloned = this.clone(value);
      const { shares, attachments } = this;
      return { value: cloned, shares, plain: this.writer?.finish(), attachments };
    } finally {
      this.attachments = NONE;
      this.shares = false;
      this.#met.forget();
    }
  }

  clone(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        this.#text(value);
        return value;
      case "number":
        if (value === 0 && Object.is(value, -0)) this.writer = undefined;
        else this.writer?.number(value);
        return value;
      case "boolean":
      case "undefined":
        this.writer?.simple(value);
        return value;
      case "bigint":
        this.writer = undefined;
        return value;
      case "object":
        if (value !== null) return this.#object(value);
        this.writer?.simple(value);
        return value;
      default:
        throw uncloneable(value);
    }
  }

  #object(value: object): object {
    const known = this.#met.cloneOf(value);
    if (known !== undefined) {
      this.writer = undefined;
      return known;
    }
    if (types.isProxy(value)) throw uncloneable(value);
    if (Array.isArray(value)) return this.#array(value);
    if (Object.getPrototypeOf(value) === Object.prototype && !types.isModuleNamespaceObject(value)) {
      return this.#properties(value, {}, false);
    }
    return this.#other(value);
  }

  /** Copies own enumerable properties. `inherits`: others than those of `Object.prototype` would be found behind them. */
  #properties(value: object, copy: object, inherits: boolean): object {
    this.#met.remember(value, copy);
    const keys = Object.keys(value);
    this.writer?.map(keys.length);
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index] as string; // within its length
      // What Object.prototype has, such as __proto__, may be an accessor or read-only: not every reader of CBOR knows.
      const assignable = !(key in copy);
      // A getter may have deleted it meanwhile.
      if ((inherits || !assignable) && !Object.hasOwn(value, key)) {
        this.writer = undefined;
        continue;
      }
      const property = (value as Record<string, unknown>)[key];
      if (property === undefined && !Object.hasOwn(value, key)) {
        this.writer = undefined;
        continue;
      }
      if (assignable) {
        this.#text(key);
        (copy as Record<string, unknown>)[key] = this.clone(property);
      } else {
        this.writer = undefined;
        Object.defineProperty(copy, key, { value: this.clone(property), ...DATA_PROPERTY });
      }
    }
    return copy;
  }

  #text(value: string): void {
    if (this.writer?.text(value) === false) this.writer = undefined;
  }

  #array(value: readonly unknown[]): object {
    const { length } = value;
    const keys = Object.keys(value);
    const copy: unknown[] = [];
    // A length without elements behind it must not take their memory.
    if (keys.length !== length || (length > 0 && keys[length - 1] !== String(length - 1))) {
      this.writer = undefined;
      copy.length = length;
      return this.#properties(value, copy, true);
    }
    this.#met.remember(value, copy);
    this.writer?.array(length);
    for (let index = 0; index < length; index += 1) {
      if (index in value) copy[index] = this.clone(value[index]);
      else {
        this.writer = undefined;
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
    if (types.isNativeError(value)) return this.#error(value);
    if (types.isArrayBuffer(value)) {
      this.shares = true;
      return this.#leaf(value, value);
    }
    if (types.isDate(value)) return this.#leaf(value, new Date(Date.prototype.getTime.call(value)));
    if (isHeldByV8(value)) return this.#leaf(value, structuredClone(value));
    if (isNotData(value) || (mayBeNative(value) && isRefusedByV8(value))) throw uncloneable(value);
    return this.#properties(value, {}, true);
  }

  #view(value: ArrayBufferView): object {
    const { buffer } = value;
    if (types.isSharedArrayBuffer(buffer)) throw uncloneable(value);
    // Node cuts most Buffers out of one pool: it is no part of them.
    if (Buffer.isBuffer(value)) {
      const copy = Uint8Array.from(value);
      this.#met.remember(value, copy);
      this.writer?.bytes(copy);
      return copy;
    }
    const whole = value.byteOffset === 0 && value.byteLength === buffer.byteLength && !buffer.resizable;
    // Two views of one buffer still share it when they come back: V8's format keeps that.
    if (!whole || !types.isUint8Array(value) || buffer.detached || this.#met.cloneOf(buffer) !== undefined)
      this.writer = undefined;
    else this.writer?.bytes(value);
    this.shares = true;
    this.#met.remember(value, value);
    this.#met.remember(buffer, buffer);
    return value;
  }

  /** Something that V8 alone can hold, and that has nothing in it to be cloned. */
  #leaf(value: object, copy: object): object {
    this.writer = undefined;
    this.#met.remember(value, copy);
    return copy;
  }

  /** Has what V8 keeps of an error, and nothing that is V8's own to clone: in a cause it would keep all of Node's pool. */
  #error(value: Error): object {
    this.writer = undefined;
    const Kind = ERRORS.get(`${value.name}`) ?? Error;
    const copy = new Kind();
    this.#met.remember(value, copy);
    const message = Object.getOwnPropertyDescriptor(value, "message");
    if (message !== undefined && "value" in message) defineHidden(copy, "message", `${message.value}`);
    const { stack } = value;
    copy.stack = typeof stack === "string" ? stack : "";
    const cause = Object.getOwnPropertyDescriptor(value, "cause");
    if (cause !== undefined && "value" in cause) defineHidden(copy, "cause", this.clone(cause.value));
    return copy;
  }

  #map(value: Map<unknown, unknown>): object {
    this.writer = undefined;
    const copy = new Map<unknown, unknown>();
    this.#met.remember(value, copy);
    for (const [key, member] of [...Map.prototype.entries.call(value)]) copy.set(this.clone(key), this.clone(member));
    return copy;
  }

  #set(value: Set<unknown>): object {
    this.writer = undefined;
    const copy = new Set<unknown>();
    this.#met.remember(value, copy);
    for (const member of [...Set.prototype.values.call(value)]) copy.add(this.clone(member));
    return copy;
  }

  #attach(original: Blob | DOMException): object {
    this.writer = undefined;
    const placeholder = placeholderOf(original);
    this.attachments = [...this.attachments, { placeholder, original }];
    this.#met.remember(original, placeholder);
    return placeholder;
  }
}

const DATA_PROPERTY = { writable: true, enumerable: true, configurable: true } as const;

function placeholderOf(original: Blob | DOMException): object {
  return original instanceof Blob ? blobMembers(original) : {};
}

/** The types that V8 restores errors as, by their names; one of another name is an Error. */
const ERRORS: ReadonlyMap<string, ErrorConstructor> = new Map(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((Kind) => [Kind.name, Kind]),
);

function defineHidden(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { ...DATA_PROPERTY, value, enumerable: false });
}

/** The error of a value that cannot be cloned. */
function uncloneable(value: unknown): DOMException {
  let what: string = typeof value;
  if (typeof value === "object" && value !== null) {
    what = types.isProxy(value) ? "a Proxy" : Object.prototype.toString.call(value);
  } else if (typeof value === "symbol") what = value.toString();
  return new DOMException(`${what} could not be cloned`, "DataCloneError");
}

let spare: Cloner | undefined = new Cloner();
