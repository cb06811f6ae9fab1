import { MatrixError } from "./matrix-error.ts";

/** An object as JSON has it, before anybody looked inside. */
export type JsonObject = Record<string, unknown>;

/** Whether a value is a JSON object: neither an array nor null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * An object in a field; an empty one where the field is absent.
 *
 * @throws MatrixError `M_BAD_JSON` where the field holds something else
 */
export function objectIn(from: JsonObject, field: string): JsonObject {
  const value = from[field];
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw new MatrixError(400, "M_BAD_JSON", `${field} must be an object`);
  return value;
}

/**
 * A list of strings in a field; an empty one where the field is absent.
 *
 * @throws MatrixError `M_BAD_JSON` where the field holds something else
 */
export function stringsIn(from: JsonObject, field: string): string[] {
  const value = from[field];
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string")) {
    throw new MatrixError(400, "M_BAD_JSON", `${field} must be a list of strings`);
  }
  return value;
}

/**
 * A list of objects in a field; an empty one where the field is absent.
 *
 * @throws MatrixError `M_BAD_JSON` where the field holds something else
 */
export function objectsIn(from: JsonObject, field: string): JsonObject[] {
  const value = from[field];
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every(isObject)) {
    throw new MatrixError(400, "M_BAD_JSON", `${field} must be a list of objects`);
  }
  return value;
}

/**
 * A string in a field; `undefined` where the field is absent.
 *
 * @throws MatrixError `M_BAD_JSON` where the field holds something else
 */
export function optionalStringIn(from: JsonObject, field: string): string | undefined {
  const value = from[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new MatrixError(400, "M_BAD_JSON", `${field} must be a string`);
  return value;
}

/**
 * A string that must be there.
 *
 * @throws MatrixError `M_MISSING_PARAM` where it is not, `M_BAD_JSON` where it is something else
 */
export function stringIn(from: JsonObject, field: string): string {
  const value = optionalStringIn(from, field);
  if (value === undefined) throw new MatrixError(400, "M_MISSING_PARAM", `${field} is missing`);
  return value;
}
