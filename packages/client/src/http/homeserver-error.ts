import type { JsonObject } from "./homeserver-api.ts";

/** A homeserver said no, and has done nothing of what it was asked. */
export class HomeserverError extends Error {
  override readonly name = "HomeserverError";
  /** The HTTP status: 400 to 499. */
  readonly status: number;
  /** Such as `M_FORBIDDEN`; `M_UNKNOWN` where the answer had none. */
  readonly errcode: string;
  /** The whole answer, which may hold more than the errcode: a session of user-interactive auth, the current version of a backup. */
  readonly body: JsonObject;

  constructor(status: number, body: JsonObject) {
    const errcode = typeof body.errcode === "string" ? body.errcode : "M_UNKNOWN";
    super(`${errcode} (HTTP ${status}): ${typeof body.error === "string" ? body.error : "no reason given"}`);
    this.status = status;
    this.errcode = errcode;
    this.body = body;
  }
}

/** Whether the homeserver said no, with this errcode if one is given. */
export function isHomeserverError(error: unknown, errcode?: string): error is HomeserverError {
  return error instanceof HomeserverError && (errcode === undefined || error.errcode === errcode);
}
