import { corrupt } from "./errors.ts";

/**
 * Values go to the server and come back as text, in PostgreSQL's own notation:
 * what a client was configured to make of each type then does not matter.
 */

/** A row as the server sent it: one piece of text per column, `null` for NULL. */
export type Row = readonly (Uint8Array | null)[];

/** Greater than every key, in bytewise order: one byte longer than the longest key, all of them 0xff. */
const AFTER_EVERY_KEY = `\\x${"ff".repeat(1025)}`;

/** A `bytea`. */
export function byteaParameter(bytes: Uint8Array): string {
  return `\\x${hex(bytes)}`;
}

/** The end of a half-open range as a `bytea`; a missing one is greater than every key. */
export function endParameter(end: Uint8Array | undefined): string {
  return end === undefined ? AFTER_EVERY_KEY : byteaParameter(end);
}

/** A `bytea[]` of bytes, or of what {@link endParameter} made. */
export function byteaArray(values: readonly (Uint8Array | string)[]): string {
  if (values.length === 0) return "{}";
  // Hexadecimal needs no escaping but for the backslash in front.
  const texts = values.map((value) => (typeof value === "string" ? value.slice(2) : hex(value)));
  return `{"\\\\x${texts.join('","\\\\x')}"}`;
}

/** An `int[]` or `bigint[]`. */
export function numberArray(values: readonly number[]): string {
  return `{${values.join(",")}}`;
}

/** A `text[]`. */
export function textArray(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** A column that must not be NULL, as text. */
export function text(row: Row, column: number): string {
  const value = row[column];
  if (value === null || value === undefined) corrupt(`the server's row has nothing in column ${column + 1}`);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8");
}

/** A column as text, `undefined` for NULL. */
export function optionalText(row: Row, column: number): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

/** A `bigint` or `numeric` without fraction, of any size. */
export function integer(row: Row, column: number): bigint {
  const value = text(row, column);
  if (!/^-?\d+$/.test(value)) corrupt(`the server's row has no whole number in column ${column + 1}`);
  return BigInt(value);
}

/** A whole number that a JavaScript number holds exactly. */
export function count(row: Row, column: number): number {
  const value = Number(integer(row, column));
  if (!Number.isSafeInteger(value)) corrupt(`the server's row has a number out of range in column ${column + 1}`);
  return value;
}

/** A `boolean`. */
export function flag(row: Row, column: number): boolean {
  const value = text(row, column);
  if (value !== "t" && value !== "f") corrupt(`the server's row has no boolean in column ${column + 1}`);
  return value === "t";
}

/** A `bytea` that must not be NULL. */
export function bytes(row: Row, column: number): Uint8Array {
  const value = row[column];
  if (value === null || value === undefined) corrupt(`the server's row has no bytes in column ${column + 1}`);
  const encoded = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  // The notation before PostgreSQL 9, which a role or a database may still have as `bytea_output`.
  if (encoded[0] !== 0x5c || encoded[1] !== 0x78) return decodeEscaped(encoded);
  // Memory of its own: a Buffer's small pieces share theirs with whatever else the process holds.
  const decoded = new Uint8Array((encoded.byteLength - 2) >> 1);
  const written = Buffer.from(decoded.buffer).write(encoded.toString("latin1", 2), "hex");
  if (written * 2 !== encoded.byteLength - 2) corrupt("the server's row has bytes that are not hexadecimal");
  return decoded;
}

/** Printable ASCII as it is, a backslash doubled, every other byte as a backslash and three octal digits. */
function decodeEscaped(encoded: Buffer): Uint8Array {
  const decoded = encoded
    .toString("latin1")
    .replace(/\\(\\|[0-3][0-7]{2})/g, (_, code) =>
      code === "\\" ? code : String.fromCharCode(Number.parseInt(code, 8)),
    );
  return new Uint8Array(Buffer.from(decoded, "latin1"));
}
