import { existsSync } from "node:fs";
import { chmod, copyFile, cp, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { mustRun, run } from "../commands.ts";
import { SynapseUnavailable } from "../unavailable.ts";
import { alone } from "./lock.ts";
import { debianMirror } from "./mirror.ts";

/** Part of the directory's name: a change of the recipe below takes another, so that no old one is taken for it. */
const RECIPE = 1;
const LONG_MS = 1_200_000;
const QUIET = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };

/**
 * The root directory of a Debian sid with Synapse in it: the one that was built
 * before, else a new one. It is built under another name and renamed when it is
 * whole, by one process at a time, and nothing stays mounted in it.
 *
 * @throws SynapseUnavailable `"build"`
 */
export async function debianWithSynapse(env: NodeJS.ProcessEnv): Promise<string> {
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "holdfast");
  const name = `synapse-sid-${RECIPE}`;
  const root = join(cache, name);
  if (existsSync(root)) return root;
  await mkdir(cache, { recursive: true });
  return alone(join(cache, `${name}.lock`), async () => {
    if (existsSync(root)) return root;
    for (const left of (await readdir(cache)).filter((entry) => entry.startsWith(`${name}.building`))) {
      await rm(join(cache, left), { recursive: true, force: true });
    }
    const building = join(cache, `${name}.building-${process.pid}`);
    process.stderr.write("Building a Debian with Synapse, once for this machine: some minutes.\n");
    try {
      await build(building, env);
    } catch (cause) {
      await rm(building, { recursive: true, force: true });
      const told = cause instanceof Error ? cause.message : String(cause);
      throw new SynapseUnavailable("build", `a Debian with Synapse could not be built: ${told}`, { cause });
    }
    await mustRun("sync", ["-f", building], { timeoutMs: LONG_MS });
    await rename(building, root);
    return root;
  });
}

async function build(root: string, outside: NodeJS.ProcessEnv): Promise<void> {
  const env = { ...outside, ...QUIET, PATH: `${outside.PATH ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin` };
  await mustRun("apt-get", ["update", "-qq"], { env, timeoutMs: LONG_MS });
  if ((await run("debootstrap", ["--version"], { env })).status !== 0) {
    const install = ["install", "-y", "-qq", "--no-install-recommends", "debootstrap"];
    await mustRun("apt-get", install, { env, timeoutMs: LONG_MS });
  }
  const bootstrap = ["debootstrap", "--variant=minbase", "sid", root, await debianMirror()];
  // What it mounts while it runs is then seen by nobody else, and gone with it even if it is killed.
  const canUnshare = (await run("unshare", ["--mount", "true"], { env })).status === 0;
  const command = canUnshare ? ["unshare", "--mount", ...bootstrap] : bootstrap;
  await mustRun(command[0] ?? "debootstrap", command.slice(1), { env, timeoutMs: LONG_MS });
  await likeOutside(root, env);
  const inside = (...args: string[]) => mustRun("chroot", [root, ...args], { env, timeoutMs: LONG_MS });
  await inside("apt-get", "-o", "Acquire::Check-Valid-Until=false", "update", "-qq");
  await inside("apt-get", "install", "-y", "-qq", "--no-install-recommends", "matrix-synapse");
  await inside("apt-get", "clean");
}

/** Lets apt in the chroot reach what apt outside reaches, and start no services. */
async function likeOutside(root: string, env: NodeJS.ProcessEnv): Promise<void> {
  const settings = (await mustRun("apt-config", ["dump"], { env }))
    .split("\n")
    .filter((line) => /^Acquire::(https?::|Check-|Retries)/.test(line));
  await writeFile(join(root, "etc/apt/apt.conf.d/99outside"), `${settings.join("\n")}\n`);
  for (const file of ["etc/hosts", "etc/resolv.conf", "etc/apt/auth.conf", "etc/ssl/certs/ca-certificates.crt"]) {
    if (!existsSync(`/${file}`)) continue;
    await mkdir(join(root, file, ".."), { recursive: true });
    await copyFile(`/${file}`, join(root, file));
  }
  if (existsSync("/etc/apt/auth.conf.d")) {
    await cp("/etc/apt/auth.conf.d", join(root, "etc/apt/auth.conf.d"), { recursive: true });
  }
  // What a power cut would leave half written is not renamed yet, and is built again.
  await writeFile(join(root, "etc/dpkg/dpkg.cfg.d/fast"), "force-unsafe-io\n");
  const policy = join(root, "usr/sbin/policy-rc.d");
  await writeFile(policy, "#!/bin/sh\nexit 101\n");
  await chmod(policy, 0o755);
}
