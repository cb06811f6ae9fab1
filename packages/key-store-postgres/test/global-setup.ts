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

/** One server, and one pooler in front of it, for all test files of this package. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  const pooler = await startPgBouncer(server);
  if (pooler === undefined)
    console.warn("PgBouncer is not installed: its tests are skipped (apt-get install pgbouncer)");
  project.provide("serverUrl", server.url());
  project.provide("poolerPort", pooler?.port);
  return async () => {
    await pooler?.[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  };
}
