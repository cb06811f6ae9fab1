import type { JsonObject } from "./json.ts";

/** A failure that a client is told of, in the form that the Client-Server API gives its errors. */
export class MatrixError extends Error {
  override readonly name = "MatrixError";
  /** The HTTP status. */
  readonly status: number;
  /** Such as `M_FORBIDDEN`. */
  readonly errcode: string;
  /** What the body holds besides `errcode` and `error`. */
  readonly details: JsonObject;

  constructor(status: number, errcode: string, message: string, details: JsonObject = {}) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.details = details;
  }
}

/** A 401 with the flows of user-interactive authentication; only a refused attempt has an `errcode`. */
export class Reauthenticate extends Error {
  override readonly name = "Reauthenticate";
  readonly body: JsonObject;

  constructor(stage: string, session: string, refusal: JsonObject = {}) {
    super(`authentication by ${stage} is needed`);
    this.body = { session, flows: [{ stages: [stage] }], params: {}, ...refusal };
  }
}
