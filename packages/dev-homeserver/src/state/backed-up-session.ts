import { isObject, type JsonObject, objectIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";

/** A room key in a backup, in the form in which clients send it. */
export interface BackedUpSession {
  readonly first_message_index: number;
  readonly forwarded_count: number;
  readonly is_verified: boolean;
  readonly session_data: JsonObject;
}

/** @throws MatrixError `M_BAD_JSON` */
export function sessionIn(body: JsonObject): BackedUpSession {
  const { first_message_index, forwarded_count, is_verified } = body;
  if (
    typeof first_message_index !== "number" ||
    typeof forwarded_count !== "number" ||
    typeof is_verified !== "boolean" ||
    !isObject(body.session_data)
  ) {
    throw new MatrixError(400, "M_BAD_JSON", "a backed up session lacks one of its four fields");
  }
  return { first_message_index, forwarded_count, is_verified, session_data: objectIn(body, "session_data") };
}

/**
 * Whether a session is better than the one that a backup holds: verified
 * where that is not, else known from an earlier message, else through fewer
 * hands. As Synapse decides it: each point for itself, without a look at
 * whether an earlier one speaks for the other.
 */
export function takesThePlaceOf(session: BackedUpSession, known: BackedUpSession): boolean {
  return (
    (session.is_verified && !known.is_verified) ||
    session.first_message_index < known.first_message_index ||
    session.forwarded_count < known.forwarded_count
  );
}
