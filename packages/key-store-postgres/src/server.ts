import type { EngineInfo } from "@holdfast/key-store-core";
import { KeyStoreError } from "@holdfast/key-store-core";
import { count, flag, integer, text, textArray } from "./codec.ts";
import type { Answer, Session } from "./connection.ts";
import { config, corrupt, leavesConnectionUsable, sqlState } from "./errors.ts";
import { migrate } from "./migrate.ts";
import { MIGRATIONS, SCHEMA_VERSION, versionOf } from "./migrations/index.ts";
import type { PostgresPlan } from "./options.ts";
import { quoted, type Statements } from "./sql.ts";

/** The oldest server that the statements are written for. */
const OLDEST_SERVER = 13;

/** What `connect` found out. */
export interface ServerReport {
  readonly engine: EngineInfo;
  /** Whether the server keeps statements for the session that this connection leads to. */
  readonly preparedStatements: boolean;
  /** Whether the server tells its {@link Statements.lineage}: some engines have none, and some roles may not ask. */
  readonly tellsLineage: boolean;
}

/**
 * Whether this server keeps what it acknowledges, and takes our statements.
 * Brings the schema up to date where it is behind.
 *
 * @throws `ERR_KEY_STORE_CONFIG`, `ERR_KEY_STORE_SCHEMA_TOO_NEW`, `ERR_KEY_STORE_UNAVAILABLE` for a standby
 */
export async function prepareServer(session: Session, sql: Statements, plan: PostgresPlan): Promise<ServerReport> {
  const options = { prepare: false, limitMs: plan.connectTimeoutMs };
  const run = (statement: string, parameters: readonly string[] = []) => session.run(statement, parameters, options);

  const answer = await run(sql.server, [`${quoted(plan.schema)}.migration`]);
  const { isInstalled, user, version } = checkServer(answer, plan);
  const installed = isInstalled ? await installedVersion(run, sql, plan.schema) : 0;
  if (installed < SCHEMA_VERSION) {
    await migrate(session, plan.schema, options);
    // Another installer may have been faster, and newer.
    await installedVersion(run, sql, plan.schema);
  }

  const tables = ["store", "process", "device", "collection", "record"].map(
    (table) => `${quoted(plan.schema)}.${table}`,
  );
  const forbidden = await run(sql.forbidden, [textArray(tables)]);
  if (forbidden.rows.length > 0) {
    const names = forbidden.rows.map((row) => text(row, 0)).join(", ");
    config(`the role ${user} may not select, insert, update and delete in ${names}: grant it`);
  }
  const stores = await run(sql.store);
  const storeId = text(stores.rows[0] ?? corrupt("the table store has no row"), 0);
  return {
    engine: { version, schemaVersion: SCHEMA_VERSION, storeId },
    preparedStatements: plan.preparedStatements === "auto" ? reachesServer(answer) : plan.preparedStatements,
    tellsLineage: await tellsLineage(() => run(sql.lineage)),
  };
}

async function tellsLineage(ask: () => Promise<Answer>): Promise<boolean> {
  try {
    return (await ask()).rows.length === 1;
  } catch (error) {
    // The server has an answer, and it is no.
    if (sqlState(error) !== undefined && leavesConnectionUsable(error)) return false;
    throw error;
  }
}

function checkServer(answer: Answer, plan: PostgresPlan) {
  const row = answer.rows[0] ?? corrupt("the server did not say what it is");
  const version = text(row, 1).split(" ", 1)[0] ?? "";
  if (count(row, 2) < OLDEST_SERVER * 10_000) {
    config(`the server is PostgreSQL ${version}: version ${OLDEST_SERVER} or later is needed`);
  }
  if (flag(row, 3))
    throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the server is a standby, and takes no commits");
  if (text(row, 4) === "on") {
    throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the server takes no commits: transactions are read-only");
  }
  if (text(row, 8) !== "UTF8") config(`the database's encoding is ${text(row, 8)}: it must be UTF8`);
  if (plan.durable && text(row, 5) !== "on") {
    config('the server runs with fsync=off and may lose what it acknowledges; durability: "as-configured" allows it');
  }
  return { isInstalled: flag(row, 7), user: text(row, 6), version };
}

/** The version of the schema as it is; 0 before the first migration. */
async function installedVersion(
  run: (statement: string) => Promise<Answer>,
  sql: Statements,
  schema: string,
): Promise<number> {
  const names = (await run(sql.migrations)).rows.map((row) => text(row, 0));
  const unknown = names.find((name) => MIGRATIONS[name] === undefined);
  if (unknown !== undefined) {
    const message = `the schema ${schema} is at version ${versionOf(unknown)} (${unknown}), and this library knows version ${SCHEMA_VERSION}: update it`;
    throw new KeyStoreError("ERR_KEY_STORE_SCHEMA_TOO_NEW", message);
  }
  return Math.max(0, ...names.map(versionOf));
}

/** Whether the session that answered is the one that the connection was promised: a pooler gives out others. */
function reachesServer(answer: Answer): boolean {
  const row = answer.rows[0];
  return row !== undefined && answer.pid !== undefined && integer(row, 0) === BigInt(answer.pid);
}
