import { globSync } from "node:fs";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { command } from "./command.ts";
import type { Registry } from "./registry.ts";

const ROOT = join(import.meta.dirname, "../..");

/** The versions of the published packages, by name. */
export type Versions = Readonly<Record<string, string>>;

/** A copy of the workspace that releases into a registry. */
export interface Workspace {
  /** Where it is. */
  readonly directory: string;
}

/** Copies what the workspace would commit, without its history, and installs what releasing needs. */
export async function copyWorkspace(directory: string, registry: Registry): Promise<Workspace> {
  const listed = await command("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  const deleted = await command("git", ["ls-files", "-z", "--deleted"], { cwd: ROOT });
  const gone = new Set(deleted.split("\0"));
  for (const file of listed.split("\0")) {
    if (file === "" || gone.has(file)) continue;
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await cp(join(ROOT, file), join(directory, file), { verbatimSymlinks: true });
  }
  const workspace = { directory };
  await command("pnpm", ["install", "--frozen-lockfile", "--prefer-offline", "--ignore-scripts"], { cwd: directory });
  await command("git", ["init", "--quiet", "--initial-branch=main"], { cwd: directory });
  await commit(workspace);
  // From here on it knows no other registry.
  await writeFile(join(directory, ".npmrc"), registry.npmrc);
  return workspace;
}

/** Adds a changeset, as `pnpm changeset` would write it. */
export async function addChangeset(workspace: Workspace, bumps: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(bumps).map(([name, bump]) => `"${name}": ${bump}`);
  const text = `---\n${lines.join("\n")}\n---\n\nA change that a user could notice.\n`;
  await writeFile(join(workspace.directory, ".changeset/a-change.md"), text);
}

/** Takes the changesets into versions and changelogs, and publishes what the registry does not have. */
export async function release(workspace: Workspace): Promise<Versions> {
  const { directory: cwd } = workspace;
  await commit(workspace);
  await command("pnpm", ["exec", "changeset", "version"], { cwd });
  await commit(workspace);
  await command("pnpm", ["exec", "changeset", "publish", "--no-git-tag"], { cwd });
  return versions(workspace);
}

async function commit({ directory: cwd }: Workspace): Promise<void> {
  const author = ["-c", "user.name=Release", "-c", "user.email=release@example.org", "-c", "commit.gpgsign=false"];
  await command("git", ["add", "--all"], { cwd });
  await command("git", [...author, "commit", "--quiet", "--allow-empty", "--message", "A release"], { cwd });
}

async function versions({ directory }: Workspace): Promise<Versions> {
  const manifests = globSync("packages/*/package.json", { cwd: directory }).map(async (file) =>
    JSON.parse(await readFile(join(directory, file), "utf8")),
  );
  const published = (await Promise.all(manifests)).filter((manifest) => manifest.private !== true);
  return Object.fromEntries(published.map(({ name, version }) => [name, version]));
}
