import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return address.port;
}

/** A new directory that every user may enter: servers that refuse to be root run as another one. */
export async function sharedDirectory(prefix: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  await chmod(directory, 0o755);
  return directory;
}

/**
 * Watches over a server from outside, for the case that this process is killed
 * and cannot clean up: once its end of the pipe closes, the shell signals the
 * process named in `pidFile` and removes the directory.
 */
export function watchOver(pidFile: string, directory: string): { done(): void } {
  const script = `
    pid=$(head -n 1 "$1" 2>/dev/null)
    [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null
    while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -rf "$2"`;
  return onceGone(script, [pidFile, directory]);
}

/** Lets a shell run a script once this process is gone, however it ended; unless `done` was called. */
export function onceGone(script: string, args: readonly string[]): { done(): void } {
  if (process.platform === "win32") return { done: () => {} };
  const guard: ChildProcess = spawn("/bin/sh", ["-c", `read -r answer && exit 0\n${script}`, "sh", ...args], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.on("error", () => {});
  guard.unref();
  guard.stdin?.on("error", () => {});
  // The pipe must not keep this process alive.
  (guard.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null)?.unref?.();
  return { done: () => void guard.stdin?.end("done\n") };
}
