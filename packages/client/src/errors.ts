/**
 * Every code that the client may fail with beside those of a key store, and
 * whether the same call may succeed later without anybody changing anything.
 */
const RETRYABLE = {
  /** An option or environment variable is malformed or missing. */
  CONFIG: false,
  /** The homeserver cannot be reached, or did not answer in time, or answered with something else than Matrix. */
  HOMESERVER_UNREACHABLE: true,
  /** The homeserver refused the password or the token. */
  LOGIN_REFUSED: false,
  /** The homeserver refused the request; `cause` is a `HomeserverError` with its errcode. */
  REQUEST_REFUSED: false,
  /** Encryption is paused: the store of the keys is away, or is not the one that this device's keys are in. */
  ENCRYPTION_UNAVAILABLE: true,
  /** The homeserver knows this device with other keys than the store holds. */
  IDENTITY_CONFLICT: false,
  /** Whether the room is encrypted could not be found out, so nothing is sent to it. */
  ROOM_ENCRYPTION_UNKNOWN: true,
  /** A secret storage key, recovery key or passphrase does not open what it is for. */
  WRONG_SECRET: false,
  /** There is no secret storage, backup or cross-signing identity where one is needed. */
  NOT_SET_UP: false,
  /** There is secret storage, a backup or a cross-signing identity already, which is not replaced unless that is said. */
  ALREADY_SET_UP: false,
  /** A verification was cancelled, or timed out. */
  VERIFICATION_CANCELLED: false,
  /** What came from outside is not what it claims to be: an attachment whose hash differs, a malformed export. */
  MALFORMED: false,
  /** The client was closed. */
  CLOSED: false,
} as const;

/** A stable code: programs decide by it, messages are for people. */
export type MatrixClientErrorCode = keyof typeof RETRYABLE;

/** The client's own error; failures of a key store are `KeyStoreError`s. */
export class MatrixClientError extends Error {
  override readonly name = "MatrixClientError";
  readonly code: MatrixClientErrorCode;
  /** Whether the same call may succeed later, with nothing changed by its caller. */
  readonly retryable: boolean;

  constructor(code: MatrixClientErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = RETRYABLE[code];
  }
}

/** Whether `error` is a {@link MatrixClientError}, with this code if one is given. */
export function isMatrixClientError(error: unknown, code?: MatrixClientErrorCode): error is MatrixClientError {
  // By name and code, not by class: two copies of this package may be installed side by side.
  const candidate = error as Partial<MatrixClientError> | null | undefined;
  return (
    candidate instanceof Error &&
    candidate.name === "MatrixClientError" &&
    typeof candidate.code === "string" &&
    (code === undefined || candidate.code === code)
  );
}
