import { isKeyStoreError } from "@holdfast/key-store-core";
import { isMatrixClientError, MatrixClientError } from "../errors.ts";
import { type HomeserverError, isHomeserverError } from "../http/homeserver-error.ts";

/** The homeserver's answer that it does not take the client's token any more, whatever it was asked for; `undefined` for every other error. */
export function sessionRefusal(error: unknown): HomeserverError | undefined {
  const cause = isMatrixClientError(error, "ROOM_ENCRYPTION_UNKNOWN") ? error.cause : error;
  return isHomeserverError(cause) && cause.status === 401 ? cause : undefined;
}

/**
 * An error as the client's callers get it: a session that the homeserver has
 * ended is `LOGIN_REFUSED`, what else it refused `REQUEST_REFUSED`, a store that
 * has failed `ENCRYPTION_UNAVAILABLE`; every other stays what it is.
 */
export function asClientError(error: unknown): unknown {
  const ended = sessionRefusal(error);
  if (ended !== undefined) {
    const message = `the homeserver ended this session (${ended.message})`;
    return new MatrixClientError("LOGIN_REFUSED", message, { cause: ended });
  }
  if (isHomeserverError(error)) return new MatrixClientError("REQUEST_REFUSED", error.message, { cause: error });
  if (isKeyStoreError(error)) {
    const message = `encryption is paused, because its store has failed: ${error.message}`;
    return new MatrixClientError("ENCRYPTION_UNAVAILABLE", message, { cause: error });
  }
  return error;
}

/** Why nothing is sent to an encrypted room while there is no store. */
export function pausedError(roomId: string): MatrixClientError {
  const message = `${roomId} is encrypted, and encryption is paused: nothing is sent to it`;
  return new MatrixClientError("ENCRYPTION_UNAVAILABLE", message);
}

/** Runs work whose errors are to be {@link asClientError}. */
export async function clientErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asClientError(error);
  }
}
