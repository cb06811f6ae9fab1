import type { Call } from "../http/call.ts";

/** A part of the path that the route's pattern names; empty for an optional one that was left out. */
export function parameter(call: Call, name: string): string {
  return call.parameters[name] ?? "";
}

/** A whole number in the query; the default where there is none, or something else. */
export function numberIn(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  return text !== null && /^\d+$/.test(text) ? Number(text) : otherwise;
}
