import { mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A new directory under the system's temporary one. */
export function newDirectory(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), "key-store-sqlite-")));
}

/** Removes a directory; throws where this process still has a file of it open. */
export function removeDirectory(path: string): void {
  const open = process.platform === "linux" ? openFiles().filter((file) => file.startsWith(path)) : [];
  rmSync(path, { recursive: true, force: true });
  if (open.length > 0) throw new Error(`files were left open: ${open.join(", ")}`);
}

/** A new directory that is removed, and has to be let go of, when the running test is over. */
export function directory(): string {
  const path = newDirectory();
  onTestFinished(() => removeDirectory(path));
  return path;
}

/** The path of a key store that does not exist yet, in a directory of its own. */
export function newPath(): string {
  return join(directory(), "keys.db");
}

/** A path at which nothing can be: below a regular file. */
export function pathBelowFile(parent: string): string {
  writeFileSync(join(parent, "file"), "");
  return join(parent, "file", "keys.db");
}

function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      // The descriptor that read the directory.
      return [];
    }
  });
}
