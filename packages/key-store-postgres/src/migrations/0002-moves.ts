import { type Kysely, sql } from "kysely";

/** Who the store is, what moves between stores have made of its devices, and where each device was opened last. */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  const table = (name: string) => sql.id(schema, name);

  await sql`create table ${table("store")} (
    id uuid primary key default gen_random_uuid()
  )`.execute(db);
  await sql`insert into ${table("store")} default values`.execute(db);
  await sql`comment on table ${table("store")} is 'One row: the id by which moves know this store.'`.execute(db);

  await sql`alter table ${table("device")}
    add column status text not null default 'active' check (status in ('active', 'moving', 'incoming', 'moved')),
    add column move_id text,
    add column peer_kind text,
    add column peer_store text,
    add column lineage text`.execute(db);
  await sql`comment on column ${table("device")}.status is
    'What a move between stores has made of the device; peer_kind and peer_store are its other end.'`.execute(db);
  await sql`comment on column ${table("device")}.lineage is
    'The server''s system identifier and timeline when the device was last known to be whole. Another one may have lost commits: the device is then not opened. Set it to null after a failover that lost none.'`.execute(
    db,
  );
}
