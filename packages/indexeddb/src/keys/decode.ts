import { END, ESCAPE, TAG } from "./format.ts";
import { MalformedKeyError } from "./malformed-key-error.ts";

/** What IndexedDB has for keys. */
export type Key = number | Date | string | ArrayBuffer | Key[];

const MAX_TIME = 8.64e15;

/**
 * The value of a key's bytes: always a new one.
 *
 * @throws {@link MalformedKeyError} for anything that {@link toKey} does not write
 */
export function fromKey(bytes: Uint8Array): Key {
  const reader = new Reader(bytes);
  const key = reader.key();
  if (reader.at !== bytes.length) throw malformed("bytes are left over");
  return key;
}

/** A key that is the result of a request: decoded when somebody looks. */
export class KeyResult {
  readonly #bytes: Uint8Array;
  #value: Key | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get value(): Key {
    this.#value ??= fromKey(this.#bytes);
    return this.#value;
  }
}

/** How many of the bytes the key takes that they begin with. */
export function keyLength(bytes: Uint8Array): number {
  return skipKey(bytes, 0);
}

function skipKey(bytes: Uint8Array, start: number): number {
  const tag = bytes[start];
  if (tag === TAG.number || tag === TAG.date) {
    if (start + 9 > bytes.length) throw malformed("it ends too early");
    return start + 9;
  }
  if (tag === TAG.string || tag === TAG.binary) {
    const end = bytes.indexOf(END, start + 1);
    if (end < 0) throw malformed("it has no end");
    return end + 1;
  }
  if (tag !== TAG.array) throw malformed("its type is unknown");
  let at = start + 1;
  while (bytes[at] !== END) at = skipKey(bytes, at);
  return at + 1;
}

class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  key(): Key {
    const tag = this.#bytes[this.at];
    this.at += 1;
    if (tag === TAG.number) return this.#number();
    if (tag === TAG.string) return this.#string();
    if (tag === TAG.date) {
      const time = this.#number();
      if (!Number.isInteger(time) || Math.abs(time) > MAX_TIME) throw malformed("it is no date");
      return new Date(time);
    }
    if (tag === TAG.binary) return this.#binary();
    if (tag === TAG.array) return this.#array();
    throw malformed("its type is unknown");
  }

  #number(): number {
    const bytes = this.#bytes;
    if (this.at + 8 > bytes.length) throw malformed("it ends too early");
    const first = bytes[this.at] as number;
    const negative = first < 0x80;
    for (let index = 0; index < 8; index += 1) {
      const byte = bytes[this.at + index] as number;
      scratchBytes[index] = negative ? ~byte : byte;
    }
    if (!negative) scratchBytes[0] = first & 0x7f;
    this.at += 8;
    const value = scratch.getFloat64(0);
    if (Number.isNaN(value) || Object.is(value, -0)) throw malformed("it is no number");
    return value;
  }

  #string(): string {
    const bytes = this.#bytes;
    const end = bytes.indexOf(END, this.at);
    if (end < 0) throw malformed("it has no end");
    if (isPlainAscii(bytes, this.at, end)) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset + this.at, end - this.at).toString("latin1");
      this.at = end + 1;
      return text;
    }
    const units: number[] = [];
    let text = "";
    while (this.at < end) {
      units.push(this.#unit(end));
      if (units.length === 4096) {
        text += String.fromCharCode(...units);
        units.length = 0;
      }
    }
    this.at = end + 1;
    return text + String.fromCharCode(...units);
  }

  #unit(end: number): number {
    const first = this.#bytes[this.at] as number;
    this.at += 1;
    if (first === ESCAPE) return this.#escaped(end);
    if (first < 0x80) return first;
    if (first >= 0xc2 && first < 0xe0) return ((first & 0x1f) << 6) | this.#trailing(end);
    if (first < 0xe0 || first > 0xef) throw malformed("it is no string");
    const unit = ((first & 0x0f) << 12) | (this.#trailing(end) << 6) | this.#trailing(end);
    if (unit < 0x800) throw malformed("it is no string");
    return unit;
  }

  #trailing(end: number): number {
    const byte = this.at < end ? (this.#bytes[this.at] as number) : 0;
    this.at += 1;
    if ((byte & 0xc0) !== 0x80) throw malformed("it is no string");
    return byte & 0x3f;
  }

  #escaped(end: number): number {
    const byte = this.at < end ? (this.#bytes[this.at] as number) : 0;
    this.at += 1;
    if (byte !== 1 && byte !== 2) throw malformed("it has a wrong escape");
    return byte - 1;
  }

  #binary(): ArrayBuffer {
    const bytes = this.#bytes;
    const end = bytes.indexOf(END, this.at);
    if (end < 0) throw malformed("it has no end");
    const plain = new Uint8Array(end - this.at);
    let length = 0;
    while (this.at < end) {
      const byte = bytes[this.at] as number;
      this.at += 1;
      plain[length++] = byte === ESCAPE ? this.#escaped(end) : byte;
    }
    this.at = end + 1;
    return length === plain.length ? plain.buffer : plain.buffer.slice(0, length);
  }

  #array(): Key[] {
    const keys: Key[] = [];
    // Not push(): it would call a setter that a program has put on a prototype.
    for (let index = 0; this.#bytes[this.at] !== END; index += 1) {
      Object.defineProperty(keys, index, { value: this.key(), writable: true, enumerable: true, configurable: true });
    }
    this.at += 1;
    return keys;
  }
}

function isPlainAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number; // within its length
    if (byte >= 0x80 || byte === ESCAPE) return false;
  }
  return true;
}

const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

function malformed(reason: string): MalformedKeyError {
  return new MalformedKeyError(`a stored key is not what was written: ${reason}`);
}
