import { Kysely, PostgresAdapter, sql } from "kysely";
import { Migrator } from "kysely/migration";
import { PostgresJSDialect, type PostgresJSDialectConfig } from "kysely-postgres-js";
import type { Session, StatementOptions } from "./connection.ts";
import { sqlState } from "./errors.ts";
import { MIGRATIONS } from "./migrations/index.ts";

/**
 * Applies the migrations that are missing, all in one transaction, so that a
 * schema is never seen half made. Whoever comes second waits for the first, and
 * then finds nothing to do.
 */
export async function migrate(session: Session, schema: string, options: StatementOptions): Promise<void> {
  const db = new Kysely<unknown>({ dialect: new SessionDialect({ postgres: clientOf(session, options) }) });
  await db.transaction().execute(async (transaction) => {
    // There is no row or table yet that installers could lock. This lock ends with the transaction, in whatever
    // server session a pooler runs it; the one that Kysely would take belongs to a session, and outlives a failure.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`holdfast schema ${schema}`}, 0))`.execute(transaction);
    const migrator = new Migrator({
      db: transaction,
      provider: { getMigrations: async () => migrationsOf(schema) },
      migrationTableSchema: schema,
      migrationTableName: "migration",
      migrationLockTableName: "migration_lock",
    });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
  });
}

function migrationsOf(schema: string) {
  const entries = Object.entries(MIGRATIONS).map(([name, up]) => [
    name,
    { up: (db: Kysely<unknown>) => up(db, schema) },
  ]);
  return Object.fromEntries(entries) as Record<string, { up: (db: Kysely<unknown>) => Promise<void> }>;
}

class SessionDialect extends PostgresJSDialect {
  override createAdapter(): PostgresAdapter {
    return new UnlockedAdapter();
  }
}

/** Takes no lock: the transaction that migrates has it already. */
class UnlockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

const IN_FAILED_TRANSACTION = "25P02";

/**
 * A session as the client that Kysely's dialect wants. It refuses statements
 * once the connection is lost; the client itself would break on a rollback then.
 */
function clientOf(session: Session, options: StatementOptions): PostgresJSDialectConfig["postgres"] {
  let failure: unknown;
  const reserved = {
    unsafe: async (text: string, parameters: readonly unknown[]) => {
      const answer = await session.run(text, parameters.map(asText), options).catch((error) => {
        // Kysely looks around after some failures; in a transaction that has failed, that only hides the first one.
        failure ??= error;
        throw sqlState(error) === IN_FAILED_TRANSACTION ? failure : error;
      });
      const { rows, columns, command, affected } = answer;
      const objects = rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, asValue(row[i])])));
      return Object.assign(objects, { command, count: affected });
    },
    release: () => {},
  };
  const client = Object.assign(() => {}, { reserve: async () => reserved, end: async () => {} });
  return client as unknown as PostgresJSDialectConfig["postgres"];
}

function asText(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** What migrations ask for is text, and what they look at of the catalogue is text and booleans. */
function asValue(value: Uint8Array | null | undefined): string | null {
  return value === null || value === undefined ? null : Buffer.from(value).toString("utf8");
}
