import { MatrixClientError } from "../errors.ts";

/**
 * A path whose inserted parts are percent-encoded: room ids and event types hold every character there is.
 *
 * @throws `MatrixClientError` `MALFORMED` for the parts `.` and `..`, which a URL cannot hold: they would lead elsewhere
 */
export function path(parts: TemplateStringsArray, ...inserted: readonly string[]): string {
  return parts.reduce((whole, part, at) => `${whole}${encoded(inserted[at - 1] ?? "")}${part}`);
}

function encoded(part: string): string {
  if (part === "." || part === "..") throw new MatrixClientError("MALFORMED", `${part} is not an identifier`);
  return encodeURIComponent(part.toWellFormed());
}
