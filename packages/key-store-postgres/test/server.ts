import { setTimeout as delay } from "node:timers/promises";
import { createDatabase } from "@holdfast/dev-postgres";
import postgres from "postgres";
import { afterAll, beforeAll, inject } from "vitest";

/** A database of this test file's own, and a client that looks at it from outside. */
export interface TestDatabase {
  /** Its address. */
  readonly url: string;
  /** Its address through PgBouncer. */
  readonly poolerUrl: string;
  /** A client of the test's own; the check for leaks does not count it. */
  readonly sql: postgres.Sql;
}

const OBSERVER = "test observer";

/** Makes a database for a test file, and fails the file where a connection to it is left at the end. */
export function testDatabase(): TestDatabase {
  // Filled before the first test; nothing of it is looked at earlier.
  const database = {} as { -readonly [K in keyof TestDatabase]: TestDatabase[K] };
  beforeAll(async () => {
    const name = `test_${process.pid}_${Date.now().toString(36)}`;
    database.url = await createDatabase(inject("serverUrl"), name);
    database.poolerUrl = Object.assign(new URL(database.url), { port: String(inject("poolerPort") ?? 1) }).href;
    database.sql = observer(database.url);
  });
  afterAll(async () => {
    // A backend takes a moment to notice that its client has said goodbye.
    await until("every connection of the stores is closed", async () => (await connections(database.sql)).length === 0);
    await database.sql.end();
  });
  return database;
}

/** A client to look at a database with. */
export function observer(url: string): postgres.Sql {
  return postgres(url, { max: 4, onnotice: () => {}, connection: { application_name: OBSERVER } });
}

/** What stores call themselves that connect through PgBouncer, which keeps its connections to the server. */
export const POOLED = "pooled";

/** Who is connected to a database: neither the observers of tests nor the server connections of PgBouncer. */
async function connections(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql<{ application_name: string }[]>`
    select application_name from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
    and application_name <> ${OBSERVER} and not starts_with(application_name, ${POOLED})`;
  return rows.map((row) => row.application_name);
}

/** Looks again and again until `look` answers true, for nearly as long as a test may take: by then it says what it waited for. */
export async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 100_000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`this did not come to pass: ${what}`);
    await delay(10);
  }
}
