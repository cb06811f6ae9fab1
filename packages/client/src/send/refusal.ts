import { isKeyStoreError } from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import { isHomeserverError } from "../http/homeserver-error.ts";

/**
 * An error as the client's callers get it: what the homeserver refused is
 * `REQUEST_REFUSED`, a store that has failed is `ENCRYPTION_UNAVAILABLE`; every other stays what it is.
 */
export function asClientError(error: unknown): unknown {
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
