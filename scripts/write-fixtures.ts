/**
 * Writes a store as this version writes it, for the tests of all later ones:
 * `node scripts/write-fixtures.ts 0.1.0` at the release of 0.1.0, for SQLite as
 * a file and for PostgreSQL as the statements that make its schema again.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { startPostgres } from "../packages/dev-postgres/src/index.ts";
import { PostgresKeyStore } from "../packages/key-store-postgres/src/index.ts";
import { SqliteKeyStore } from "../packages/key-store-sqlite/src/index.ts";
import { writeFixture } from "../test/fixtures/contents.ts";

const [version] = process.argv.slice(2);
if (version === undefined || !/^\d+\.\d+\.\d+$/.test(version)) throw new Error("which version is this of? (1.2.3)");
const fixture = (adapter: string, extension: string) =>
  join(import.meta.dirname, `../packages/key-store-${adapter}/test/fixtures/${version}.${extension}`);

await writeSqlite(fixture("sqlite", "sqlite"));
await writePostgres(fixture("postgres", "sql"));

async function writeSqlite(path: string): Promise<void> {
  if (existsSync(path)) throw new Error(`${path} is there already, and is never written again`);
  const store = new SqliteKeyStore({ path });
  await writeFixture(store);
  await store.close();
}

async function writePostgres(path: string): Promise<void> {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  // Every statement that makes something is kept as it was sent.
  await sql.unsafe(`
    create table public.ddl (id bigint generated always as identity, statement text not null);
    create function public.keep() returns event_trigger language plpgsql as
      $$ begin insert into public.ddl (statement) values (current_query()); end $$;
    create event trigger keep on ddl_command_end execute function public.keep()`);
  const store = new PostgresKeyStore({ url });
  await writeFixture(store);
  await store.close();
  const ddl = await sql<{ statement: string }[]>`select statement from public.ddl order by id`;
  const lines = ddl.map(({ statement }) => `${statement};`);
  const tables = await sql<{ table_name: string; columns: string[] }[]>`
    select table_name, array_agg(column_name::text order by ordinal_position) as columns
    from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_schema = 'holdfast' and table_type = 'BASE TABLE' group by table_name order by table_name`;
  for (const { table_name, columns } of tables) {
    const values = columns.map((column) => `quote_nullable("${column}"::text)`).join(" || ', ' || ");
    const rows = await sql.unsafe<{ row: string }[]>(
      `select ${values} as row from holdfast."${table_name}" order by 1`,
    );
    const into = `insert into holdfast."${table_name}" overriding system value values`;
    for (const { row } of rows) lines.push(`${into} (${row});`);
  }
  const sequences = await sql<{ sequencename: string; last_value: string | null }[]>`
    select sequencename, last_value from pg_sequences where schemaname = 'holdfast' and last_value is not null`;
  for (const { sequencename, last_value } of sequences) {
    lines.push(`select setval('holdfast."${sequencename}"', ${last_value});`);
  }
  await sql.end();
  writeFileSync(path, `${lines.join("\n")}\n`, { flag: "wx" });
}
