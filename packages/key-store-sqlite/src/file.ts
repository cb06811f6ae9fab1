import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { KeyStoreError } from "@holdfast/key-store-core";
import Database from "better-sqlite3";
import { corrupt, isBusy } from "./errors.ts";
import { migrate } from "./schema.ts";

// Nothing here opens the file of a key store other than through SQLite: with the POSIX locks that SQLite uses, closing
// such a descriptor would take the locks of every other connection of this process on that file.

/** The size of a file in bytes; `undefined` where there is none. */
function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** Which file stands at a path: equal as long as it was not removed, replaced or moved. */
export class FileIdentity {
  readonly #path: string;
  readonly #stats: Stats | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#stats = statSync(path, { throwIfNoEntry: false });
  }

  /** @throws `ERR_KEY_STORE_ROLLBACK` where another file stands there, or none */
  check(): void {
    const now = statSync(this.#path, { throwIfNoEntry: false });
    if (now !== undefined && now.ino === this.#stats?.ino && now.dev === this.#stats.dev) return;
    const message = `${this.#path}: the file was ${now === undefined ? "removed" : "replaced"} while this process had it open: what was committed is not in what stands there now; do not go on with its devices`;
    throw new KeyStoreError("ERR_KEY_STORE_ROLLBACK", message);
  }
}

/**
 * Makes sure that a key store stands at `path`: one is installed where there
 * is no file. It is made complete under another name and then linked to its
 * own, so that nobody ever meets half of one, and an empty file is known for
 * what it is, a damaged one.
 *
 * @throws `ERR_KEY_STORE_CORRUPT` where the file is empty, or gone from beside its log
 */
export async function ensureFile(path: string): Promise<void> {
  const size = sizeOf(path);
  if (size === 0) throw corrupt(path, "the file is empty (delete it to begin with a new key store)");
  if (size !== undefined) return;
  if ((sizeOf(`${path}-wal`) ?? 0) > 0) {
    throw corrupt(path, "the file is missing, but its -wal is there (delete that to begin with a new key store)");
  }
  const made = mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    await install(draft);
    place(draft, path);
  } finally {
    for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(draft + suffix, { force: true });
  }
  syncDirectories(dirname(path), made === undefined ? dirname(path) : dirname(made));
}

async function install(draft: string): Promise<void> {
  closeSync(openSync(draft, "wx", 0o600));
  const db = new Database(draft, { fileMustExist: true });
  try {
    await migrate(db, draft);
    db.pragma("journal_mode = wal");
  } catch (error) {
    if (!isBusy(error)) throw error;
    // Nobody else knows the name: SQLite says this of locks that the system refuses.
    const message = `${dirname(draft)}: the file system takes no locks: choose a path on a local disk`;
    throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message, { cause: error });
  } finally {
    db.close();
  }
}

/** Gives a file its name, unless there is one of that name by now. */
function place(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    // A file system without hard links: whoever opens the copy too early is told that it is damaged, and nothing is lost.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS" && code !== "EMLINK") throw error;
    copyFileSync(draft, path, constants.COPYFILE_EXCL);
    sync(path);
  }
}

/** Makes the names in a directory, and in those above it up to `top`, survive the loss of power. */
function syncDirectories(directory: string, top: string): void {
  if (process.platform === "win32") return;
  sync(directory);
  if (directory !== top && directory !== dirname(directory)) syncDirectories(dirname(directory), top);
}

/** Makes a file's content, or a directory's names, survive the loss of power. */
function sync(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
