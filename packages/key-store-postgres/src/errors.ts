import { isKeyStoreError, KeyStoreError, type KeyStoreErrorCode, messageOf } from "@holdfast/key-store-core";

/**
 * What each SQLSTATE, socket error and TLS error means to a key store. Only
 * what stands here as `ERR_KEY_STORE_UNAVAILABLE` is ever tried again. With
 * `FATAL` behind it, an entry is for errors that end the session.
 *
 * SQLSTATEs: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const CODES: Readonly<Record<string, KeyStoreErrorCode>> = {
  // The connection: broken, refused, or never made.
  "08000": "ERR_KEY_STORE_UNAVAILABLE",
  "08001": "ERR_KEY_STORE_UNAVAILABLE",
  "08003": "ERR_KEY_STORE_UNAVAILABLE",
  "08004": "ERR_KEY_STORE_UNAVAILABLE",
  "08006": "ERR_KEY_STORE_UNAVAILABLE",
  "08007": "ERR_KEY_STORE_UNAVAILABLE",
  // PgBouncer's word for nearly everything that it has to say itself.
  "08P01": "ERR_KEY_STORE_UNAVAILABLE",
  CONNECTION_CLOSED: "ERR_KEY_STORE_UNAVAILABLE",
  CONNECTION_DESTROYED: "ERR_KEY_STORE_UNAVAILABLE",
  CONNECTION_ENDED: "ERR_KEY_STORE_UNAVAILABLE",
  CONNECT_TIMEOUT: "ERR_KEY_STORE_UNAVAILABLE",
  EADDRNOTAVAIL: "ERR_KEY_STORE_UNAVAILABLE",
  // A Unix socket whose server has too many to let in.
  EAGAIN: "ERR_KEY_STORE_UNAVAILABLE",
  EAI_AGAIN: "ERR_KEY_STORE_UNAVAILABLE",
  EAI_FAIL: "ERR_KEY_STORE_UNAVAILABLE",
  EAI_MEMORY: "ERR_KEY_STORE_UNAVAILABLE",
  ECONNABORTED: "ERR_KEY_STORE_UNAVAILABLE",
  ECONNREFUSED: "ERR_KEY_STORE_UNAVAILABLE",
  ECONNRESET: "ERR_KEY_STORE_UNAVAILABLE",
  EHOSTDOWN: "ERR_KEY_STORE_UNAVAILABLE",
  EHOSTUNREACH: "ERR_KEY_STORE_UNAVAILABLE",
  EMFILE: "ERR_KEY_STORE_UNAVAILABLE",
  ENETDOWN: "ERR_KEY_STORE_UNAVAILABLE",
  ENETRESET: "ERR_KEY_STORE_UNAVAILABLE",
  ENETUNREACH: "ERR_KEY_STORE_UNAVAILABLE",
  ENFILE: "ERR_KEY_STORE_UNAVAILABLE",
  ENOBUFS: "ERR_KEY_STORE_UNAVAILABLE",
  // The socket file of a server that does not run.
  ENOENT: "ERR_KEY_STORE_UNAVAILABLE",
  ENOMEM: "ERR_KEY_STORE_UNAVAILABLE",
  ENOTCONN: "ERR_KEY_STORE_UNAVAILABLE",
  ENOTFOUND: "ERR_KEY_STORE_UNAVAILABLE",
  EPIPE: "ERR_KEY_STORE_UNAVAILABLE",
  ETIMEDOUT: "ERR_KEY_STORE_UNAVAILABLE",

  // The server is busy, starting, stopping, or has become a standby.
  "25006": "ERR_KEY_STORE_UNAVAILABLE",
  // A session that was left in a transaction that has failed: nothing runs in it, and it is thrown away.
  "25P01": "ERR_KEY_STORE_UNAVAILABLE",
  "25P02": "ERR_KEY_STORE_UNAVAILABLE",
  "25P03": "ERR_KEY_STORE_UNAVAILABLE",
  "25P04": "ERR_KEY_STORE_UNAVAILABLE",
  "40000": "ERR_KEY_STORE_UNAVAILABLE",
  "40001": "ERR_KEY_STORE_UNAVAILABLE",
  "40003": "ERR_KEY_STORE_UNAVAILABLE",
  "40P01": "ERR_KEY_STORE_UNAVAILABLE",
  "53000": "ERR_KEY_STORE_UNAVAILABLE",
  "53200": "ERR_KEY_STORE_UNAVAILABLE",
  "53300": "ERR_KEY_STORE_UNAVAILABLE",
  "53400": "ERR_KEY_STORE_UNAVAILABLE",
  "55P03": "ERR_KEY_STORE_UNAVAILABLE",
  "57000": "ERR_KEY_STORE_UNAVAILABLE",
  "57014": "ERR_KEY_STORE_UNAVAILABLE",
  "57P01": "ERR_KEY_STORE_UNAVAILABLE",
  "57P02": "ERR_KEY_STORE_UNAVAILABLE",
  "57P03": "ERR_KEY_STORE_UNAVAILABLE",
  // The database was dropped: the next connection tells whether it is there again.
  "57P04": "ERR_KEY_STORE_UNAVAILABLE",
  "57P05": "ERR_KEY_STORE_UNAVAILABLE",
  // What other poolers say while the server behind them is away.
  "58000": "ERR_KEY_STORE_UNAVAILABLE",
  "XX000 FATAL": "ERR_KEY_STORE_UNAVAILABLE",
  // A pooler gave the statement to a session that never prepared it; nothing ran.
  "26000": "ERR_KEY_STORE_UNAVAILABLE",
  "42P05": "ERR_KEY_STORE_UNAVAILABLE",

  "53100": "ERR_KEY_STORE_DISK_FULL",

  // Pages, files or indexes that cannot be right, or tables that are not as the migrations left them.
  "23502": "ERR_KEY_STORE_CORRUPT",
  "23505": "ERR_KEY_STORE_CORRUPT",
  "42703": "ERR_KEY_STORE_CORRUPT",
  "42P01": "ERR_KEY_STORE_CORRUPT",
  "42P10": "ERR_KEY_STORE_CORRUPT",
  "58030": "ERR_KEY_STORE_CORRUPT",
  "58P01": "ERR_KEY_STORE_CORRUPT",
  XX001: "ERR_KEY_STORE_CORRUPT",
  XX002: "ERR_KEY_STORE_CORRUPT",

  "22021": "ERR_KEY_STORE_INVALID_ARGUMENT",
  "54000": "ERR_KEY_STORE_INVALID_ARGUMENT",
};

/**
 * The code of everything that is not in the table: wrong passwords, missing
 * rights and databases, certificates that do not fit, statements that a server
 * does not know. Somebody has to change something first, and it is hardly ever
 * the stored bytes: a program that reacts to corruption must not do so here.
 */
const OTHERWISE: KeyStoreErrorCode = "ERR_KEY_STORE_CONFIG";

/** SQLSTATEs that say that named prepared statements do not work on this connection. */
const UNPREPARED = new Set(["26000", "42P05"]);

/** The SQLSTATE of an error that the server answered with; `undefined` for every other error. */
export function sqlState(error: unknown): string | undefined {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return name === "PostgresError" && typeof code === "string" ? code : undefined;
}

/** Whether the server said that it does not know a statement which was prepared, or knows it already. */
export function isPreparedStatementMixUp(error: unknown): boolean {
  return UNPREPARED.has(sqlState(error) ?? "");
}

/** Whether the connection can still be used after this error. */
export function leavesConnectionUsable(error: unknown): boolean {
  return sqlState(error) !== undefined && (error as { severity?: unknown }).severity === "ERROR";
}

/**
 * Any error of the driver as the one that a key store throws.
 *
 * @param what what was being done, for people: `"opening a device"`
 */
export function keyStoreError(error: unknown, what: string): KeyStoreError {
  if (isKeyStoreError(error)) return error;
  const code = codeOf(error);
  const meaning = endsSession(error) ? (CODES[`${code} FATAL`] ?? CODES[code ?? ""]) : CODES[code ?? ""];
  const keyStoreCode = meaning ?? OTHERWISE;
  const detail = code === undefined ? "" : ` (${code})`;
  return new KeyStoreError(keyStoreCode, `${what}: ${messageOf(error)}${detail}`, { cause: withoutParameters(error) });
}

/** Poolers leave out the severity that is not translated. */
function endsSession(error: unknown): boolean {
  const { severity, severity_local } = (error ?? {}) as { severity?: unknown; severity_local?: unknown };
  return ["FATAL", "PANIC"].includes(String(severity ?? severity_local));
}

function codeOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code === "string") return code;
  // A name with several addresses fails with one error for each: they are alike, or the first one tells.
  return error instanceof AggregateError ? codeOf(error.errors[0]) : undefined;
}

/** What of a server's or a socket's error names nothing that is stored. */
const HARMLESS = [
  "code",
  "errno",
  "syscall",
  "address",
  "port",
  "severity",
  "routine",
  "schema_name",
  "table_name",
  "constraint_name",
];

/**
 * The error without what may hold keys and values, which are nobody's business:
 * the client hangs the statement's parameters on it, and the server the row that
 * it refused.
 */
function withoutParameters(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  const { message, name, stack } = error;
  const kept = Object.entries(error).filter(([key]) => HARMLESS.includes(key));
  const copy = Object.assign(new Error(message), Object.fromEntries(kept));
  Object.defineProperties(copy, { name: { value: name }, stack: { value: stack } });
  return copy;
}

/** @throws always, `ERR_KEY_STORE_CONFIG` */
export function config(message: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_CONFIG", message);
}

/** @throws always, `ERR_KEY_STORE_CORRUPT` */
export function corrupt(message: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", message);
}
