import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "@holdfast/dev-postgres";
import type { TestProject } from "vitest/node";
import type { Market } from "./consumer.ts";
import { startRegistry } from "./registry.ts";
import { copyWorkspace, release, type Versions, type Workspace } from "./release.ts";

declare module "vitest" {
  interface ProvidedContext {
    market: Market;
    /** The copy of the workspace that the packages were released from. */
    workspace: Workspace;
    /** What the first release published. */
    versions: Versions;
    /** The address of a PostgreSQL server's own database. */
    serverUrl: string;
  }
}

/** A registry, with a first release of this workspace in it, and a PostgreSQL for the programs. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await using stack = new AsyncDisposableStack();
  const directory = await realpath(await mkdtemp(join(tmpdir(), "holdfast-install-")));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const registry = stack.use(await startRegistry(directory));
  const server = stack.use(await startPostgres());
  const workspace = await copyWorkspace(join(directory, "workspace"), registry);
  project.provide("versions", await release(workspace));
  project.provide("workspace", workspace);
  project.provide("market", { directory, npmrc: registry.npmrc });
  project.provide("serverUrl", server.url());
  const held = stack.move();
  return () => held.disposeAsync();
}
