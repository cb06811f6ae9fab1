import { MatrixClientError } from "../errors.ts";

/** What an `mxc://` URI names. */
export interface MediaId {
  readonly serverName: string;
  readonly mediaId: string;
}

// Server names as the appendices of the specification have them; media ids as the content repository's security considerations do.
const MXC = /^mxc:\/\/((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)\/([A-Za-z0-9_-]+)$/;

/**
 * The parts of an `mxc://` URI.
 *
 * @throws `MatrixClientError` `MALFORMED` for another URI
 */
export function parseMxc(uri: string): MediaId {
  const [, serverName, mediaId] = MXC.exec(uri) ?? [];
  if (serverName !== undefined && mediaId !== undefined) return { serverName, mediaId };
  throw new MatrixClientError("MALFORMED", `${JSON.stringify(uri.slice(0, 200))} is not an mxc:// URI`);
}

/** Whether a value is an `mxc://` URI. */
export function isMxc(value: unknown): value is string {
  return typeof value === "string" && MXC.test(value);
}
