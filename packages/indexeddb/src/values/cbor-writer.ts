import { ARGUMENT, DOUBLE, MAJOR, SIMPLE } from "./cbor-format.ts";

const BYTES = 8_192;

/** A buffer that has grown beyond this is not kept. */
const MAX_BYTES = 1024 * 1024;

/** Strings that are shorter are written here, unit by unit: the way into Node takes longer. */
const SHORT = 64;

/** From so many units on a string's bytes are counted before there is made room for them. */
const LONG = 65_536;

/** Writes items of CBOR, one behind the other. */
export class CborWriter {
  #bytes = Buffer.allocUnsafeSlow(BYTES);
  #at = 0;

  /** Begins anew, with this byte before the items. */
  begin(first: number): void {
    this.#bytes[0] = first;
    this.#at = 1;
  }

  /** What was written since {@link CborWriter.begin}. */
  finish(): Uint8Array {
    const written = Buffer.allocUnsafe(this.#at);
    this.#bytes.copy(written, 0, 0, this.#at);
    if (this.#bytes.length > MAX_BYTES) this.#bytes = Buffer.allocUnsafeSlow(BYTES);
    return written;
  }

  simple(value: boolean | null | undefined): void {
    this.#reserve(1);
    const item =
      value === null ? SIMPLE.null : value === undefined ? SIMPLE.undefined : value ? SIMPLE.true : SIMPLE.false;
    this.#bytes[this.#at++] = item;
  }

  number(value: number): void {
    this.#reserve(9);
    if (value >>> 0 === value) this.#head(MAJOR.unsigned, value);
    else if (value >> 0 === value) this.#head(MAJOR.negative, ~value);
    else {
      this.#bytes[this.#at] = DOUBLE;
      this.#bytes.writeDoubleBE(value, this.#at + 1);
      this.#at += 9;
    }
  }

  /** False where it has no UTF-8: it is not written then. */
  text(value: string): boolean {
    const { length } = value;
    if (length >= SHORT) return this.#longText(value);
    this.#reserve(length + 2);
    const bytes = this.#bytes;
    let at = this.#at;
    if (length < ARGUMENT.one) bytes[at++] = MAJOR.text | length;
    else {
      bytes[at++] = MAJOR.text | ARGUMENT.one;
      bytes[at++] = length;
    }
    for (let index = 0; index < length; index += 1) {
      const unit = value.charCodeAt(index);
      if (unit >= 0x80) return this.#longText(value);
      bytes[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length + 5);
    this.#head(MAJOR.bytes, value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** So many items are its elements. */
  array(length: number): void {
    this.#reserve(5);
    this.#head(MAJOR.array, length);
  }

  /** Twice as many items are its names and values. */
  map(size: number): void {
    this.#reserve(5);
    this.#head(MAJOR.map, size);
  }

  #longText(value: string): boolean {
    if (!value.isWellFormed()) return false;
    this.#reserve(5 + (value.length < LONG ? value.length * 3 : Buffer.byteLength(value)));
    // The length in bytes is known when they are written; as a rule it is that in units.
    const guess = headLength(value.length);
    const length = this.#bytes.write(value, this.#at + guess);
    const head = headLength(length);
    if (head !== guess) this.#bytes.copyWithin(this.#at + head, this.#at + guess, this.#at + guess + length);
    this.#head(MAJOR.text, length);
    this.#at += length;
    return true;
  }

  /** There must be room for it. */
  #head(major: number, argument: number): void {
    const bytes = this.#bytes;
    if (argument < ARGUMENT.one) bytes[this.#at++] = major | argument;
    else if (argument < 0x100) {
      bytes[this.#at++] = major | ARGUMENT.one;
      bytes[this.#at++] = argument;
    } else if (argument < 0x10000) {
      bytes[this.#at++] = major | ARGUMENT.two;
      this.#at = bytes.writeUInt16BE(argument, this.#at);
    } else {
      bytes[this.#at++] = major | ARGUMENT.four;
      this.#at = bytes.writeUInt32BE(argument, this.#at);
    }
  }

  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

function headLength(argument: number): number {
  if (argument < ARGUMENT.one) return 1;
  if (argument < 0x100) return 2;
  return argument < 0x10000 ? 3 : 5;
}
