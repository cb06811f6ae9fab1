import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, watchOver } from "@holdfast/dev-postgres/machine";
import { secret, writeConfiguration } from "../configuration.ts";
import { untilItAnswers } from "../ready.ts";
import type { RunningSynapse } from "../synapse.ts";
import { SynapseUnavailable } from "../unavailable.ts";
import { debianWithSynapse } from "./build.ts";

const START_MS = 60_000;
const STOP_MS = 10_000;

/** Starts Synapse in the chroot, with a directory of its own there. Many may run in one chroot. */
export async function startInChroot(env: NodeJS.ProcessEnv): Promise<RunningSynapse> {
  const root = await debianWithSynapse(env);
  const directory = await mkdtemp(join(root, "srv/synapse-"));
  const seen = directory.slice(root.length);
  const [port, registrationSecret] = [await freePort(), secret()];
  await writeConfiguration(directory, { directory: seen, port, bindAddress: "127.0.0.1", registrationSecret });
  const child = spawn(
    "chroot",
    [root, "python3", "-m", "synapse.app.homeserver", "-c", `${seen}/homeserver.yaml`],
    // The secrets of this process are none of its business.
    { stdio: ["ignore", "pipe", "pipe"], env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C.UTF-8" } },
  );
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      log.push(String(chunk));
      if (log.length > 200) log.shift();
    });
  }
  const pidFile = join(directory, "pid");
  const guard = watchOver(pidFile, directory);
  const exited = once(child, "exit").then(([code, signal]) => `it ended with ${signal ?? code}`, String);
  await writeFile(pidFile, `${child.pid}\n`);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const impatience = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await exited;
    clearTimeout(impatience);
    await rm(directory, { recursive: true, force: true });
    guard.done();
  };
  const baseUrl = `http://127.0.0.1:${port}`;
  try {
    await untilItAnswers(baseUrl, exited, START_MS);
  } catch (cause) {
    await stop();
    throw new SynapseUnavailable("start", `Synapse did not start:\n${log.join("")}`, { cause });
  }
  return { baseUrl, registrationSecret, stop };
}
