import type { Json, JsonObject } from "./homeserver-api.ts";

/** The value where it is an object of JSON, else `undefined`. */
export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** The value where it is an array of JSON, else an empty one. */
export function arrayOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

/** The value where it is text, else `undefined`. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The value where it is a finite number, else `undefined`. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** Text that is an object of JSON; `undefined` for all other text. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}
