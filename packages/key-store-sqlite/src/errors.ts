import { KeyStoreError, type KeyStoreErrorCode, messageOf } from "@holdfast/key-store-core";

/**
 * What SQLite's result codes mean to a key store, and what to do about them.
 * The first entry decides whose name is the code or begins it: extended codes
 * follow their primary one unless they stand before it.
 *
 * https://www.sqlite.org/rescode.html
 */
const RESULT_CODES: readonly (readonly [code: string, meaning: KeyStoreErrorCode, advice: string])[] = [
  ["SQLITE_BUSY", "ERR_KEY_STORE_UNAVAILABLE", "another process has locked the file: wait for it, or end it"],
  ["SQLITE_LOCKED", "ERR_KEY_STORE_UNAVAILABLE", "another connection has locked a table: wait for it"],
  ["SQLITE_PROTOCOL", "ERR_KEY_STORE_UNAVAILABLE", "too many processes contend for the file's lock"],
  ["SQLITE_CANTOPEN", "ERR_KEY_STORE_UNAVAILABLE", "make its directory exist, and let this user write in it"],
  ["SQLITE_READONLY", "ERR_KEY_STORE_UNAVAILABLE", "let this user write the file and in its directory"],
  ["SQLITE_PERM", "ERR_KEY_STORE_UNAVAILABLE", "let this user read and write the file"],
  ["SQLITE_AUTH", "ERR_KEY_STORE_UNAVAILABLE", "let this user read and write the file"],
  ["SQLITE_NOLFS", "ERR_KEY_STORE_UNAVAILABLE", "the file system has no room for a file this large"],
  ["SQLITE_NOMEM", "ERR_KEY_STORE_UNAVAILABLE", "the process has too little memory"],
  ["SQLITE_INTERRUPT", "ERR_KEY_STORE_UNAVAILABLE", "the operation was interrupted"],
  [
    "SQLITE_IOERR_CORRUPTFS",
    "ERR_KEY_STORE_CORRUPT",
    "the file system is damaged: keep the file, and look at the disk",
  ],
  // The shared memory beside the file could not grow.
  ["SQLITE_IOERR_SHMSIZE", "ERR_KEY_STORE_DISK_FULL", "make room on the disk"],
  ["SQLITE_IOERR", "ERR_KEY_STORE_UNAVAILABLE", "the disk or its file system reported an error: look at it"],
  ["SQLITE_FULL", "ERR_KEY_STORE_DISK_FULL", "make room on the disk"],
  ["SQLITE_TOOBIG", "ERR_KEY_STORE_INVALID_ARGUMENT", "a value is longer than SQLite takes"],
  ["SQLITE_NOTADB", "ERR_KEY_STORE_CORRUPT", "this is no SQLite database, or a damaged one: it is kept as it is"],
  ["SQLITE_CORRUPT", "ERR_KEY_STORE_CORRUPT", "the file is damaged: it is kept as it is; restore a backup"],
  // A statement that fits the schema and fails all the same: the schema is not what was written.
  ["SQLITE_", "ERR_KEY_STORE_CORRUPT", "the tables are not what this library wrote"],
];

/** What the file system's error codes mean; every other one means that the file cannot be reached. */
const SYSTEM_CODES: Readonly<Record<string, readonly [meaning: KeyStoreErrorCode, advice: string]>> = {
  ENOSPC: ["ERR_KEY_STORE_DISK_FULL", "make room on the disk"],
  EDQUOT: ["ERR_KEY_STORE_DISK_FULL", "the user's quota is used up"],
  EACCES: ["ERR_KEY_STORE_UNAVAILABLE", "let this user write in its directory"],
  EPERM: ["ERR_KEY_STORE_UNAVAILABLE", "let this user write in its directory"],
  EROFS: ["ERR_KEY_STORE_UNAVAILABLE", "the file system is mounted read-only: choose another path"],
  // What making a directory says of a path that goes through a file.
  EEXIST: ["ERR_KEY_STORE_UNAVAILABLE", "a part of its path is a file: choose another path"],
  ENOTDIR: ["ERR_KEY_STORE_UNAVAILABLE", "a part of its path is a file: choose another path"],
  EISDIR: ["ERR_KEY_STORE_UNAVAILABLE", "it is a directory: choose another path"],
};

/** The `code` of an error, where it has one. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

/** Whether another connection's lock was in the way, and nothing was done. */
export function isBusy(error: unknown): boolean {
  return codeOf(error).startsWith("SQLITE_BUSY");
}

/**
 * Throws what counts as a lock while whoever opened an injected database has a
 * transaction of its own open, which must not become part of one of ours.
 */
export function assertNoTransaction(db: { readonly inTransaction: boolean }): void {
  if (!db.inTransaction) return;
  const message = "the program has a transaction open on this database: end it in the turn that it was begun in";
  throw Object.assign(new Error(message), { code: "SQLITE_BUSY" });
}

/** What a key store says of an error of SQLite or of the file system, about the file at `path`. */
export function toKeyStoreError(error: unknown, path: string): KeyStoreError {
  if (error instanceof KeyStoreError) return error;
  const code = codeOf(error);
  const result = RESULT_CODES.find(([prefix]) => code.startsWith(prefix));
  const [meaning, advice] = result === undefined ? (SYSTEM_CODES[code] ?? UNKNOWN) : [result[1], result[2]];
  const message = `${path}: ${messageOf(error)}${code === "" ? "" : ` (${code})`}: ${advice}`;
  return new KeyStoreError(meaning, message, { cause: error });
}

const UNKNOWN = ["ERR_KEY_STORE_UNAVAILABLE", "the file cannot be used"] as const;

/** The file's bytes are not what was written. It is kept as it is. */
export function corrupt(path: string, what: string): KeyStoreError {
  return new KeyStoreError("ERR_KEY_STORE_CORRUPT", `${path}: ${what}: the file is kept as it is`);
}
