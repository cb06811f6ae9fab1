import { MatrixClientError } from "../errors.ts";

/**
 * A homeserver's address without a slash at its end.
 *
 * @throws `MatrixClientError` `CONFIG` for what is no such address
 */
export function parseBaseUrl(text: string): string {
  const url = URL.parse(text);
  const valid =
    url !== null &&
    (url.protocol === "https:" || url.protocol === "http:") &&
    [url.search, url.hash, url.username, url.password].every((part) => part === "");
  // Not the text itself: whoever mixes up two variables has put a secret here.
  if (!valid) throw new MatrixClientError("CONFIG", "the homeserver's address must be like https://matrix.example.org");
  return url.href.replace(/\/+$/, "");
}
