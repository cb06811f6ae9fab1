import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Does work that no other process may do at the same time. The lock is the
 * system's, held by a child that ends with this process: nothing is left
 * behind that would have to be cleared away.
 */
export async function alone<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  const holder = spawn("flock", [lockFile, "sh", "-c", "echo locked; cat"], { stdio: ["pipe", "pipe", "ignore"] });
  const failed = once(holder, "error").then(([error]) => Promise.reject(error));
  await Promise.race([once(holder.stdout, "data"), failed]);
  failed.catch(() => {});
  try {
    return await work();
  } finally {
    holder.stdin.end();
  }
}
