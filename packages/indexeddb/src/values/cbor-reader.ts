import { ARGUMENT, DOUBLE, MAJOR, SIMPLE } from "./cbor-format.ts";

/** Bytes that are not the CBOR that is written here. */
class MalformedCborError extends Error {
  override readonly name = "MalformedCborError";
}

/** The names of properties that were read last, each in the place of its hash: most values have those of the value before. */
const names: string[] = new Array<string>(512).fill("");

/** Longer ones are not kept. */
const MAX_NAME_BYTES = 32;

/**
 * The value of the one item that begins at a place and ends with the bytes.
 *
 * @throws {@link MalformedCborError} for anything that {@link CborWriter} does not write
 */
export function readCbor(bytes: Uint8Array, start: number): unknown {
  const reader = new Reader(bytes, start);
  const value = reader.item();
  if (reader.left !== 0) throw malformed("bytes are left over");
  return value;
}

class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  item(): unknown {
    const first = this.#byte();
    switch (first & 0xe0) {
      case MAJOR.unsigned:
        return this.#argument(first);
      case MAJOR.negative:
        return -1 - this.#argument(first);
      case MAJOR.bytes:
        // A copy: of the bytes' own class, and what the program does to it is its own business.
        return new Uint8Array(this.#cut(this.#length(first)));
      case MAJOR.text:
        return this.#text(this.#length(first));
      case MAJOR.array:
        return this.#array(this.#length(first));
      case MAJOR.map:
        return this.#map(this.#length(first));
      default:
        return this.#other(first);
    }
  }

  #other(first: number): unknown {
    switch (first) {
      case SIMPLE.false:
        return false;
      case SIMPLE.true:
        return true;
      case SIMPLE.null:
        return null;
      case SIMPLE.undefined:
        return undefined;
      case DOUBLE: {
        this.#require(8);
        this.#at += 8;
        return this.#bytes.readDoubleBE(this.#at - 8);
      }
      default:
        throw malformed("an item is of no known kind");
    }
  }

  #array(length: number): unknown[] {
    const array: unknown[] = [];
    for (let index = 0; index < length; index += 1) array[index] = this.item();
    return array;
  }

  #map(size: number): object {
    const object: Record<string, unknown> = {};
    for (let count = 0; count < size; count += 1) {
      const first = this.#byte();
      if ((first & 0xe0) !== MAJOR.text) throw malformed("a name is no text");
      const name = this.#name(this.#length(first));
      const value = this.item();
      // What a program has put on Object.prototype is not to be met.
      if (name in object) Object.defineProperty(object, name, { value, ...DATA_PROPERTY });
      else object[name] = value;
    }
    return object;
  }

  #name(length: number): string {
    if (length === 0 || length > MAX_NAME_BYTES) return this.#text(length);
    const bytes = this.#bytes;
    const start = this.#at;
    const hash = length * 31 + (bytes[start] as number) * 7 + (bytes[start + length - 1] as number) * 131; // within its length
    const known = names[hash & 511] as string;
    if (known.length === length) {
      let at = 0;
      while (at < length && known.charCodeAt(at) === bytes[start + at]) at += 1;
      if (at === length) {
        this.#at += length;
        return known;
      }
    }
    const name = this.#text(length);
    // Of others the units are not the bytes.
    if (name.length === length) names[hash & 511] = name;
    return name;
  }

  #text(length: number): string {
    const start = this.#at;
    this.#at += length;
    return length === 0 ? "" : this.#bytes.toString("utf8", start, this.#at);
  }

  #cut(length: number): Uint8Array {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** An argument that counts bytes or items, of which none is less than a byte. */
  #length(first: number): number {
    const length = this.#argument(first);
    this.#require(length);
    return length;
  }

  #argument(first: number): number {
    const short = first & 0x1f;
    if (short < ARGUMENT.one) return short;
    if (short === ARGUMENT.one) return this.#byte();
    if (short > ARGUMENT.four) throw malformed("a length or a number is too great");
    const size = short === ARGUMENT.two ? 2 : 4;
    this.#require(size);
    this.#at += size;
    return this.#bytes.readUIntBE(this.#at - size, size);
  }

  #byte(): number {
    this.#require(1);
    return this.#bytes[this.#at++] as number;
  }

  #require(count: number): void {
    if (count > this.left) throw malformed("it ends too early");
  }
}

const DATA_PROPERTY = { writable: true, enumerable: true, configurable: true } as const;

function malformed(reason: string): MalformedCborError {
  return new MalformedCborError(`stored CBOR is not what was written: ${reason}`);
}
