/**
 * Every statement of this package but the migrations. Names are qualified and
 * nothing is set for a session, so that each statement, and each transaction,
 * may run on another server session, as poolers have it.
 */
export type Statements = ReturnType<typeof statements>;

/** A name as SQL writes it, whatever is in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * How durable a transaction is, whatever the server's, the database's and the
 * role's settings are: the level in force when it commits is what counts, and
 * this sets it for this transaction only. `remote_apply` is stronger than `on`.
 */
const DURABLY = `
  set_config('synchronous_commit',
    case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)`;

/**
 * An array whose length the planner cannot see. It then plans for any length,
 * keeps that plan after some executions of a prepared statement, and plans no
 * more: planning a small commit takes three times as long as making it.
 */
function array(parameter: string): string {
  return `(select ${parameter})`;
}

/**
 * @param schema where the tables are
 * @param durable whether commits set `synchronous_commit` for themselves
 */
export function statements(schema: string, durable: boolean) {
  const name = quoted(schema);
  const process = `${name}.process`;
  const device = `${name}.device`;
  const collection = `${name}.collection`;
  const record = `${name}.record`;
  const durably = durable ? DURABLY : "null";

  /** The device's row with its holder's process: id, epoch, revision, holder, host, pid, label, in force, process. */
  const deviceColumns = `
    d.id, d.epoch, d.revision, d.holder, p.host, p.pid, p.label,
    coalesce(d.holder is not null and p.expires_at > clock_timestamp(), false), d.process`;

  /** $1 device, $2 collection, $3 start, $4 end. */
  const inRange = `
    device = $1::bigint
    and collection = (select c.id from ${collection} c where c.device = $1::bigint and c.name = $2::text)
    and key >= $3::text::bytea and key < $4::text::bytea`;

  const list = (columns: string, direction: "asc" | "desc") => `
    select ${columns} from ${record}
    where ${inRange}
    order by key ${direction}
    limit $5::bigint`;

  /**
   * What a commit does once its guard has let it pass. `writer` is the common
   * table expression with the device's id in it, or nothing in it.
   *
   * The old rows are looked up one index probe at a time, through "lateral …
   * limit": however many keys there are, and whatever the planner believes of
   * them, it cannot choose to read the table instead. Deletes go by the places
   * (ctid) that were found so; nobody else moves them, because the guard has
   * locked the device. All parts see the rows as they were before.
   *
   * $5–$7 puts: collection ids, keys, values. $8–$11 the collections touched:
   * ids, names, records put, bytes put. That is all where `removes` is false.
   * $12, $13 deletes: collection ids, keys. $14–$16 ranges: collection ids,
   * starts, ends. $17 the collections dropped.
   */
  const changes = (removes: boolean) => `
    overwritten as materialized (
      select t.collection, r.bytes
      from writer cross join unnest(${array("$5::int[]")}, ${array("$6::bytea[]")}) as t (collection, key)
      cross join lateral (
        select octet_length(key) + octet_length(value) as bytes from ${record}
        where device = writer.id and collection = t.collection and key = t.key limit 1
      ) r
    ), written as (
      insert into ${record} (device, collection, key, value)
      select writer.id, t.collection, t.key, t.value
      from writer cross join unnest(
        ${array("$5::int[]")}, ${array("$6::bytea[]")}, ${array("$7::bytea[]")}
      ) as t (collection, key, value)
      on conflict (device, collection, key) do update set value = excluded.value
    ), ${removes ? removals : ""} lost as (
      select collection, count(*) as records, sum(bytes) as bytes
      from ${removes ? "(select collection, bytes from overwritten union all select collection, bytes from deleted) o" : "overwritten"}
      group by collection
    ), counted as (
      insert into ${collection} as c (device, id, name, records, bytes)
      select writer.id, t.id, t.name, t.records - coalesce(lost.records, 0), t.bytes - coalesce(lost.bytes, 0)
      from writer
      cross join unnest(
        ${array("$8::int[]")}, ${array("$9::text[]")}, ${array("$10::bigint[]")}, ${array("$11::bigint[]")}
      ) as t (id, name, records, bytes)
      left join lost on lost.collection = t.id
      on conflict (device, id) do update
      set records = c.records + excluded.records, bytes = c.bytes + excluded.bytes
    )`;

  const removals = `
    deleted as materialized (
      select t.collection, r.place, r.bytes
      from writer cross join unnest(${array("$12::int[]")}, ${array("$13::bytea[]")}) as t (collection, key)
      cross join lateral (
        select ctid as place, octet_length(key) + octet_length(value) as bytes from ${record}
        where device = writer.id and collection = t.collection and key = t.key limit 1
      ) r
      union all
      select t.collection, r.place, r.bytes
      from writer cross join unnest(
        ${array("$14::int[]")}, ${array("$15::bytea[]")}, ${array("$16::bytea[]")}
      ) as t (collection, first, after)
      cross join lateral (
        select ctid as place, octet_length(key) + octet_length(value) as bytes from ${record}
        where device = writer.id and collection = t.collection and key >= t.first and key < t.after
        offset 0
      ) r
    ), gone as (
      delete from ${record} where ctid = any (array(select place from deleted))
    ), dropped as (
      delete from ${collection} as c using writer where c.device = writer.id and c.id = any ($17::int[])
    ),`;

  /** $1 device, $2 holder, $3 epoch, $4 revision. */
  const guarded = "id = $1::bigint and holder = $2::text and epoch = $3::bigint and revision = $4::bigint";
  const guard = `
    update ${device} set revision = revision + 1
    where ${guarded}`;

  const lockedWriter = `
    writer as (select $1::bigint as id where $2::text is null and $3::text is null and $4::text is null)`;

  return {
    /** What `connect` has to know of the server before it touches anything. $1 is the migrations' table. */
    server: `
      select pg_backend_pid(), current_setting('server_version'), current_setting('server_version_num'),
        pg_is_in_recovery(), current_setting('transaction_read_only'), current_setting('fsync'),
        current_user::text, to_regclass($1::text) is not null, current_setting('server_encoding')`,
    store: `select id from ${name}.store`,
    /**
     * Which history of commits the server writes: its cluster's identifier, and its timeline, which is another one
     * after every promotion and every recovery to a point in time. The control file learns of that with a delay, the
     * names of log files at once.
     */
    lineage: `
      select system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) from pg_control_system()`,
    /** That a device is whole in the lineage $5, because its row is what its writer knows. $1 to $4 as its guard. */
    confirmLineage: `update ${device} set lineage = $5::text where ${guarded}`,
    migrations: `select name from ${name}.migration order by name`,
    /** Which of the tables this role may not read and write. */
    forbidden: `
      select t from unnest($1::text[]) as t
      where not (
        has_table_privilege(t, 'select') and has_table_privilege(t, 'insert')
        and has_table_privilege(t, 'update') and has_table_privilege(t, 'delete')
      )`,

    begin: "begin isolation level read committed, read write",
    commitTransaction: "commit",
    rollback: "rollback",

    /** The heartbeat, and the first beat. $1 process, $2 host, $3 pid, $4 label, $5 milliseconds. */
    beat: `
      insert into ${process} as p (id, host, pid, label, expires_at)
      values ($1::uuid, $2::text, $3::bigint, $4::text, clock_timestamp() + $5::bigint * interval '1 millisecond')
      on conflict (id) do update set expires_at = excluded.expires_at`,
    /** Takes the processes of this store away, and those that ended long ago, unless a device still names them. */
    forget: `
      delete from ${process} as p
      where (p.id = any ($1::uuid[]) or p.expires_at < clock_timestamp() - interval '1 hour')
      and not exists (select from ${device} d where d.process = p.id)`,

    createDevice: `
      insert into ${device} (user_id, device_id, epoch, revision) values ($1::text, $2::text, 0, 0)
      on conflict (user_id, device_id) do nothing`,
    /**
     * The first statement of a transaction. $3 is how long the server waits for
     * the next one, in milliseconds: a client that has gone silent must not keep
     * the lock for as long as TCP takes to notice.
     */
    lockDevice: `
      select id, set_config('idle_in_transaction_session_timeout', $3::text, true), ${durably}
      from ${device} where user_id = $1::text and device_id = $2::text for update`,
    /** Answers with epoch and revision, in one row for each collection, with its id and name, or in one without. */
    takeDevice: `
      with taken as (
        update ${device} set epoch = epoch + 1, holder = $2::text, process = $3::uuid, lineage = $4::text
        where id = $1::bigint
        returning id, epoch, revision
      )
      select t.epoch, t.revision, c.id, c.name from taken t left join ${collection} c on c.device = t.id`,
    /**
     * By id, without a lock. As {@link deviceColumns}, then what a move has made of it (status, id, peer's kind, peer's
     * store), and its lineage.
     */
    device: `select ${deviceColumns}, d.status, d.move_id, d.peer_kind, d.peer_store, d.lineage from ${device} d left join ${process} p on p.id = d.process where d.id = $1::bigint`,
    /** $5 status, $6 move, $7 and $8 its other end, $9 another device id or null. */
    mark: `
      update ${device} set revision = revision + 1, status = $5::text, move_id = $6::text, peer_kind = $7::text,
        peer_store = $8::text, device_id = coalesce($9::text, device_id)
      where ${guarded}
      returning ${durably} is null`,
    /** What a move makes of a device that is new. $1 device, $2 to $5 as $5 to $8 of {@link mark}. */
    markCreated: `
      update ${device} set status = $2::text, move_id = $3::text, peer_kind = $4::text, peer_store = $5::text
      where id = $1::bigint`,
    settle: `
      update ${device} set epoch = epoch + 1 where id = $1::bigint and holder = $2::text
      returning ${durably} is null`,
    release: `update ${device} set holder = null, process = null where id = $1::bigint and holder = $2::text`,
    /**
     * The same for the holders $2 of the processes $1. Answers with those that it found: a device that somebody has
     * locked is left to the next time, as a statement that waited could come to pass when its holder has long opened
     * the device after all.
     */
    releaseAll: `
      with named as (
        select id, holder from ${device} where process = any ($1::uuid[]) and holder = any ($2::text[])
      ), released as (
        update ${device} set holder = null, process = null
        where id in (
          select id from ${device}
          where process = any ($1::uuid[]) and holder = any ($2::text[]) for update skip locked
        )
      )
      select holder from named`,
    collections: `select id, name from ${collection} where device = $1::bigint`,
    /** Name, records, bytes. */
    collectionUsage: `
      select name, records, bytes from ${collection} where device = $1::bigint and records > 0 order by name`,

    deleteRecords: `delete from ${record} where device = $1::bigint`,
    deleteCollections: `delete from ${collection} where device = $1::bigint`,
    deleteDevice: `delete from ${device} where id = $1::bigint`,

    /** As {@link deviceColumns}, then user id, device id, records, bytes, status. */
    devices: `
      select ${deviceColumns}, d.user_id, d.device_id, c.records, c.bytes, d.status
      from ${device} d
      left join ${process} p on p.id = d.process
      cross join lateral (
        select coalesce(sum(records), 0) as records, coalesce(sum(bytes), 0) as bytes
        from ${collection} where device = d.id
      ) c
      order by d.user_id, d.device_id`,
    deviceCount: `select count(*) from ${device}`,
    leases: `
      select ${deviceColumns}, d.user_id, d.device_id
      from ${device} d join ${process} p on p.id = d.process
      where p.expires_at > clock_timestamp() and d.holder is not null
      order by d.user_id, d.device_id
      limit 1000`,
    usage: `select name, sum(records), sum(bytes) from ${collection}
      group by name having sum(records) > 0 order by name`,

    /** $1 device, $2 collection, $3 keys. Answers with the place of each key that was found, from 1, and its value. */
    getMany: `
      select t.place, r.value
      from unnest(${array("$3::bytea[]")}) with ordinality as t (key, place)
      cross join lateral (
        select value from ${record}
        where device = $1::bigint
        and collection = (select c.id from ${collection} c where c.device = $1::bigint and c.name = $2::text)
        and key = t.key limit 1
      ) r`,
    list: {
      records: { asc: list("key, value", "asc"), desc: list("key, value", "desc") },
      keys: { asc: list("key", "asc"), desc: list("key", "desc") },
    },
    count: `select count(*) from ${record} where ${inRange}`,
    /** How many records a whole collection has: kept by its commits. */
    countAll: `select records from ${collection} where device = $1::bigint and name = $2::text`,

    /** A whole commit: whether the guard let it pass. Each for commits that only put, and for all. */
    commit: {
      puts: `with writer as (${guard} returning id), ${changes(false)} select exists (select from writer), ${durably}`,
      all: `with writer as (${guard} returning id), ${changes(true)} select exists (select from writer), ${durably}`,
    },
    /** The guard of a staged commit, which locks the device for what follows. $5 as $3 of lockDevice. */
    guard: `${guard} returning set_config('idle_in_transaction_session_timeout', $5::text, true), ${durably}`,
    /** One part of a staged commit, behind its guard. $2–$4 are not used. */
    stage: {
      puts: `with ${lockedWriter}, ${changes(false)} select exists (select from writer)`,
      all: `with ${lockedWriter}, ${changes(true)} select exists (select from writer)`,
    },
  } as const;
}
