import type { ConformancePlace, ConformanceSubject, HeldCommits } from "@holdfast/key-store-conformance";
import { PostgresDriver } from "../src/driver.ts";
import { PostgresKeyStore } from "../src/index.ts";
import { postgresPlan } from "../src/options.ts";
import { type TestDatabase, until } from "./server.ts";

/** A schema of its own. */
export interface Place extends ConformancePlace {
  readonly database: TestDatabase;
  readonly number: number;
  readonly schema: string;
}

let places = 0;

/** PostgreSQL as the conformance suite takes it: places are schemas of one database. */
export function postgresSubject(
  database: TestDatabase,
  name: string,
  url: (database: TestDatabase) => string,
): ConformanceSubject<Place> {
  return {
    async create() {
      places += 1;
      const schema = `${name} ${places}`;
      const options = { url: url(database), schema, applicationName: schema };
      // Installed before a test begins: some give their stores less time than the tables take to make.
      const installer = new PostgresKeyStore(options);
      await installer.init();
      await installer.close();
      return {
        database,
        number: places,
        schema,
        open: (given) => new PostgresKeyStore({ ...given, ...options }),
        driver: () => new PostgresDriver(postgresPlan(options)),
        async dispose() {
          await database.sql`drop schema if exists ${database.sql(schema)} cascade`;
        },
      };
    },
    unavailable: (options) => new PostgresKeyStore({ ...options, host: "127.0.0.1", port: 1 }),
    async expireLeases({ schema }) {
      await database.sql`update ${database.sql(schema)}.process set expires_at = now() - interval '1 second'`;
    },
    holdCommits,
  };
}

/** A trigger behind the guard, which waits for a lock that this test holds. */
async function holdCommits({ database, schema, number }: Place): Promise<HeldCommits> {
  const { sql } = database;
  const holder = await sql.reserve();
  await holder`select pg_advisory_lock(${number})`;
  await holder.unsafe(`
    create function "${schema}".hold() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(${number}); return null; end $$;
    create trigger hold after update of revision on "${schema}".device
      for each row execute function "${schema}".hold()`);
  const held = sql`
    select pid from pg_locks where locktype = 'advisory' and objid = ${number} and not granted
    and database = (select oid from pg_database where datname = current_database())`;
  return {
    reached: until("a commit stands still", async () => (await sql`${held}`).length > 0),
    waitedFor: until("somebody waits for the commit", async () => {
      const waiting =
        await sql`select from pg_stat_activity a, (${held}) h where h.pid = any (pg_blocking_pids(a.pid))`;
      return waiting.length > 0;
    }),
    async release() {
      await holder`select pg_advisory_unlock(${number})`;
      holder.release();
    },
  };
}

/** How many records were read: sessions tell what they did when they end, so they are ended first. */
export async function recordsRead({ database, schema }: Place): Promise<number> {
  const { sql } = database;
  await until("the sessions have ended", async () => {
    const sessions = await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = ${schema} and datname = current_database()`;
    return sessions.length === 0;
  });
  const [row] = await sql<{ read: string }[]>`
    select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as read from pg_stat_user_tables
    where schemaname = ${schema} and relname = 'record'`;
  return Number(row?.read);
}
