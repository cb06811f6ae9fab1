import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onceGone } from "@holdfast/dev-postgres/machine";
import { mustRun, run } from "./commands.ts";
import { secret, writeConfiguration } from "./configuration.ts";
import { untilItAnswers } from "./ready.ts";
import type { RunningSynapse } from "./synapse.ts";
import { SynapseUnavailable } from "./unavailable.ts";

const IMAGE = "matrixdotorg/synapse:v1.160.0";
const PORT = 8008;
const PULL_MS = 600_000;
const START_MS = 60_000;

/** Whether there is a container engine, not only its client. */
export async function containerEngineAnswers(): Promise<boolean> {
  const { status, output } = await run("docker", ["info", "--format", "{{.ServerVersion}}"]);
  return status === 0 && output.trim() !== "";
}

/** Starts Synapse's own image. Its configuration is copied in, so that the engine may be on another machine's disk. */
export async function startContainer(): Promise<RunningSynapse> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-synapse-"));
  const registrationSecret = secret();
  await writeConfiguration(directory, { directory: "/data", port: PORT, bindAddress: "0.0.0.0", registrationSecret });
  const name = `holdfast-synapse-${secret().slice(0, 12)}`;
  const guard = onceGone('docker rm -f "$1"; rm -rf "$2"', [name, directory]);
  const stop = async (): Promise<void> => {
    await run("docker", ["rm", "-f", name], { timeoutMs: START_MS });
    await rm(directory, { recursive: true, force: true });
    guard.done();
  };
  try {
    const command = ["-m", "synapse.app.homeserver", "-c", "/data/homeserver.yaml"];
    const options = ["--name", name, "--user", "0", "--publish", `127.0.0.1::${PORT}`, "--entrypoint", "python"];
    await mustRun("docker", ["create", ...options, IMAGE, ...command], { timeoutMs: PULL_MS });
    await mustRun("docker", ["cp", `${directory}/.`, `${name}:/data`]);
    await mustRun("docker", ["start", name]);
    const published = await mustRun("docker", ["port", name, String(PORT)]);
    const baseUrl = `http://${published.trim().split("\n")[0]}`;
    const ended = run("docker", ["wait", name], { timeoutMs: START_MS }).then(() => "the container ended");
    await untilItAnswers(baseUrl, ended, START_MS);
    return { baseUrl, registrationSecret, stop };
  } catch (cause) {
    const { output, errors } = await run("docker", ["logs", "--tail", "30", name]);
    await stop();
    throw new SynapseUnavailable("start", `Synapse did not start in a container:\n${output}${errors}`, { cause });
  }
}
