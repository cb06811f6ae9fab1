import { types } from "node:util";
import { END, ESCAPE, TAG } from "./format.ts";

/** A growing array of bytes. */
class Writer {
  bytes = Buffer.allocUnsafeSlow(512);
  view = new DataView(this.bytes.buffer);
  length = 0;

  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  copy(): Uint8Array {
    // Out of Node's pool. A small Uint8Array would be cheaper to make, but a view of it, as for a string, moves it.
    const copy = Buffer.allocUnsafe(this.length);
    this.bytes.copy(copy, 0, 0, this.length);
    return copy;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  number(tag: number, value: number): void {
    this.reserve(9);
    this.bytes[this.length] = tag;
    // -0 and 0 are the same key.
    this.view.setFloat64(this.length + 1, value === 0 ? 0 : value);
    const first = this.bytes[this.length + 1] as number;
    if (first < 0x80) this.bytes[this.length + 1] = first | 0x80;
    else for (let at = 1; at <= 8; at += 1) this.bytes[this.length + at] = ~(this.bytes[this.length + at] as number);
    this.length += 9;
  }

  string(value: string): void {
    this.reserve(value.length * 3 + 2);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = TAG.string;
    for (let index = 0; index < value.length; index += 1) {
      const unit = value.charCodeAt(index);
      if (unit < 0x80) {
        if (unit <= ESCAPE) {
          bytes[at++] = ESCAPE;
          bytes[at++] = unit + 1;
        } else bytes[at++] = unit;
      } else if (unit < 0x800) {
        bytes[at++] = 0xc0 | (unit >> 6);
        bytes[at++] = 0x80 | (unit & 0x3f);
      } else {
        bytes[at++] = 0xe0 | (unit >> 12);
        bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
        bytes[at++] = 0x80 | (unit & 0x3f);
      }
    }
    bytes[at++] = END;
    this.length = at;
  }

  binary(value: Uint8Array): void {
    this.reserve(value.length * 2 + 2);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = TAG.binary;
    for (const byte of value) {
      if (byte <= ESCAPE) {
        bytes[at++] = ESCAPE;
        bytes[at++] = byte + 1;
      } else bytes[at++] = byte;
    }
    bytes[at++] = END;
    this.length = at;
  }
}

let spare: Writer | undefined = new Writer();

/**
 * Converts a value to a key, as its bytes; `undefined` where it is none. The
 * getters of arrays are called, and what they throw is passed on.
 * https://www.w3.org/TR/IndexedDB-3/#convert-value-to-key
 */
export function toKey(value: unknown): Uint8Array | undefined {
  // A getter may come back here: it gets a writer of its own.
  const writer = spare ?? new Writer();
  spare = undefined;
  writer.length = 0;
  try {
    return write(writer, value, undefined) ? writer.copy() : undefined;
  } finally {
    // One very long key is no reason to keep its bytes.
    spare = writer.bytes.length > 65_536 ? new Writer() : writer;
  }
}

/** Appends a key to the writer; false where the value is none. */
function write(writer: Writer, value: unknown, seen: Set<object> | undefined): boolean {
  if (typeof value === "string") {
    writer.string(value);
    return true;
  }
  if (typeof value === "number") {
    if (Number.isNaN(value)) return false;
    writer.number(TAG.number, value);
    return true;
  }
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return !types.isProxy(value) && writeArray(writer, value, seen ?? new Set());
  if (types.isDate(value)) {
    const time = Date.prototype.getTime.call(value);
    if (Number.isNaN(time)) return false;
    writer.number(TAG.date, time);
    return true;
  }
  const bytes = bytesOf(value);
  if (bytes === undefined) return false;
  writer.binary(bytes);
  return true;
}

function writeArray(writer: Writer, value: readonly unknown[], seen: Set<object>): boolean {
  if (seen.has(value)) return false;
  seen.add(value);
  writer.byte(TAG.array);
  const { length } = value;
  for (let index = 0; index < length; index += 1) {
    if (!Object.hasOwn(value, index) || !write(writer, value[index], seen)) return false;
  }
  writer.byte(END);
  // Only what holds itself is refused; the same array twice side by side is not.
  seen.delete(value);
  return true;
}

/** The bytes of a buffer source; `undefined` for another object, and for one that is detached. */
function bytesOf(value: object): Uint8Array | undefined {
  if (types.isAnyArrayBuffer(value)) {
    return "detached" in value && value.detached ? undefined : new Uint8Array(value);
  }
  if (!ArrayBuffer.isView(value)) return undefined;
  const { buffer } = value;
  if ("detached" in buffer && buffer.detached) return undefined;
  return new Uint8Array(buffer, value.byteOffset, value.byteLength);
}

/** Two keys as one: an index entry's index key and primary key. */
export function joinKeys(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = Buffer.allocUnsafe(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** A key with one more byte behind it. */
export function withByte(key: Uint8Array, byte: number): Uint8Array {
  const longer = Buffer.allocUnsafe(key.length + 1);
  longer.set(key);
  longer[key.length] = byte;
  return longer;
}
