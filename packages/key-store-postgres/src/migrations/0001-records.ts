import { type Kysely, sql } from "kysely";

/** The tables of the first version. Every primary key that holds a device's data begins with the device. */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  const table = (name: string) => sql.id(schema, name);

  await sql`create table ${table("process")} (
    id uuid primary key,
    host text not null,
    pid bigint not null,
    label text not null,
    expires_at timestamptz not null
  )`.execute(db);
  await sql`comment on table ${table("process")} is
    'Programs that have devices open. Until expires_at, by this server''s clock, their leases are in force.'`.execute(
    db,
  );

  // Room is left on the pages, so that the new revision of every commit fits beside the old one and no index changes.
  await sql`create table ${table("device")} (
    id bigint generated always as identity primary key,
    user_id text collate "C" not null,
    device_id text collate "C" not null,
    epoch bigint not null,
    revision bigint not null,
    holder text,
    process uuid,
    unique (user_id, device_id)
  ) with (fillfactor = 50)`.execute(db);
  await sql`create index device_process on ${table("device")} (process) where process is not null`.execute(db);
  await sql`comment on table ${table("device")} is
    'Matrix devices. A commit needs holder, epoch and revision to be those of its writer, and moves revision by one.'`.execute(
    db,
  );

  await sql`create table ${table("collection")} (
    device bigint not null,
    id int not null,
    name text collate "C" not null,
    records bigint not null,
    bytes bigint not null,
    primary key (device, id),
    unique (device, name)
  ) with (fillfactor = 50)`.execute(db);
  await sql`comment on table ${table("collection")} is
    'Names of collections, with the count of their records and of the bytes of keys and values, kept by every commit.'`.execute(
    db,
  );

  await sql`create table ${table("record")} (
    device bigint not null,
    collection int not null,
    key bytea not null,
    value bytea not null,
    primary key (device, collection, key)
  )`.execute(db);
  await sql`comment on table ${table("record")} is
    'The records of all devices. See record_by_name for the same with names.'`.execute(db);

  await sql`create view ${table("record_by_name")} as
    select d.user_id, d.device_id, c.name as collection, r.key, octet_length(r.value) as value_bytes, r.value
    from ${table("device")} d
    join ${table("collection")} c on c.device = d.id
    join ${table("record")} r on r.device = c.device and r.collection = c.id`.execute(db);
}
