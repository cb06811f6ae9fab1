import { startPgBouncer, startPostgres } from "@holdfast/dev-postgres";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The address of the server's own database. */
    serverUrl: string;
    /** The port of a PgBouncer in transaction mode in front of it; `undefined` where it is not installed. */
    poolerPort: number | undefined;
  }
}

/**
 * One server, and one pooler in front of it, for all test files of this
 * package. `HOLDFAST_TEST_POSTGRES_URL` names another server, by a superuser of
 * it; there is no pooler then. Tests that stop a server start one of their own.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const url = process.env.HOLDFAST_TEST_POSTGRES_URL;
  await using stack = new AsyncDisposableStack();
  const server = url === undefined ? stack.use(await startPostgres()) : undefined;
  const pooler = server === undefined ? undefined : stack.use(await startPgBouncer(server));
  if (server !== undefined && pooler === undefined)
    console.warn("PgBouncer is not installed: its tests are skipped (apt-get install pgbouncer)");
  project.provide("serverUrl", server?.url() ?? url ?? "");
  project.provide("poolerPort", pooler?.port);
  const held = stack.move();
  return () => held.disposeAsync();
}
