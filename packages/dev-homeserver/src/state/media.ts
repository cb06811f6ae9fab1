import { randomBytes } from "node:crypto";
import type { Content } from "../http/call.ts";
import { MatrixError } from "../http/matrix-error.ts";

/** A file that somebody has uploaded. */
export interface StoredMedia extends Content {
  readonly fileName: string | undefined;
}

/** Uploaded files, of which this server looks into none. */
export class Media {
  /** The most bytes of one file. */
  readonly maxBytes: number;
  readonly #serverName: string;
  readonly #files = new Map<string, StoredMedia>();

  constructor(serverName: string, maxBytes: number) {
    this.#serverName = serverName;
    this.maxBytes = maxBytes;
  }

  /**
   * Keeps a file; answers with its `mxc://` address.
   *
   * @throws MatrixError `M_TOO_LARGE`
   */
  add(file: StoredMedia): string {
    if (file.bytes.length > this.maxBytes) throw new MatrixError(413, "M_TOO_LARGE", "this file is too large");
    const id = randomBytes(12).toString("hex");
    this.#files.set(id, file);
    return `mxc://${this.#serverName}/${id}`;
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  get(serverName: string, id: string): StoredMedia {
    const file = serverName === this.#serverName ? this.#files.get(id) : undefined;
    if (file === undefined) throw new MatrixError(404, "M_NOT_FOUND", "there is no such file");
    return file;
  }
}
