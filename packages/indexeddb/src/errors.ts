import { isKeyStoreError } from "@holdfast/key-store-core";
import { MalformedKeyError } from "./keys/malformed-key-error.ts";

/** The names of the exceptions that the specification throws here. */
export type ExceptionName =
  | "AbortError"
  | "ConstraintError"
  | "DataCloneError"
  | "DataError"
  | "InvalidAccessError"
  | "InvalidStateError"
  | "NotFoundError"
  | "QuotaExceededError"
  | "ReadOnlyError"
  | "SyntaxError"
  | "TransactionInactiveError"
  | "UnknownError"
  | "VersionError";

export function exception(name: ExceptionName, message: string): DOMException {
  return new DOMException(message, name);
}

/** The exception that a request or transaction fails with; what lies behind it is its `cause`. */
export function asException(error: unknown): DOMException {
  if (error instanceof DOMException) return error;
  if (error instanceof MalformedKeyError) return new DOMException(error.message, { name: "DataError", cause: error });
  const name: ExceptionName = isKeyStoreError(error, "ERR_KEY_STORE_DISK_FULL") ? "QuotaExceededError" : "UnknownError";
  const message = isKeyStoreError(error) ? `${error.code}: ${error.message}` : String(error);
  return new DOMException(message, { name, cause: error });
}
