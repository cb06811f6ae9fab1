/** A path whose inserted parts are percent-encoded: room ids and event types hold every character there is. */
export function path(parts: TemplateStringsArray, ...inserted: readonly string[]): string {
  return parts.reduce((whole, part, at) => `${whole}${encodeURIComponent(inserted[at - 1] ?? "")}${part}`);
}
