import { KeyStoreError } from "@holdfast/key-store-core";
import type Database from "better-sqlite3";
import { Kysely, SqliteDialect, sql } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import { assertNoTransaction, corrupt } from "./errors.ts";

/** "Hold" in ASCII: what `file` and SQLite's header know a key store by. */
const APPLICATION_ID = 0x486f6c64;

/**
 * The migrations, by name; each begins with its number.
 *
 * `record` keeps its rowid: with values of 1 KB, which is what a session takes,
 * a table without one needs three times the room and five times the time to
 * insert, because a row over a quarter of a page spills into pages of its own.
 */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "0001_initial": {
    async up(db) {
      const tables = [
        // One row. `wal_complete` is explained in wal.ts.
        sql`create table store (
          id integer primary key check (id = 1),
          wal_complete integer not null check (wal_complete in (0, 1))
        ) strict`,
        sql`insert into store (id, wal_complete) values (1, 1)`,

        // A lease is in force until expires_at, in milliseconds since 1970: one row for all devices of a process.
        sql`create table process (
          id text primary key,
          host text not null,
          pid integer not null,
          label text not null,
          expires_at integer not null
        ) strict, without rowid`,

        // Ids are never used again: what still has the id of a deleted device must not find another one.
        sql`create table device (
          id integer primary key autoincrement,
          user_id text not null,
          device_id text not null,
          epoch integer not null,
          revision integer not null,
          holder text,
          process text,
          unique (user_id, device_id)
        ) strict`,

        // records and bytes are kept by the commits.
        sql`create table collection (
          id integer primary key,
          device integer not null,
          name text not null,
          records integer not null check (records >= 0),
          bytes integer not null check (bytes >= 0),
          unique (device, name)
        ) strict`,

        // checksum is the CRC-32 of the key and the value, one after the other.
        sql`create table record (
          collection integer not null,
          key blob not null,
          value blob not null,
          checksum integer not null,
          primary key (collection, key)
        ) strict`,

        // For people with the sqlite3 shell.
        sql`create view named_record as
          select device.user_id, device.device_id, collection.name as collection,
            record.key, length(record.value) as value_bytes, record.value
          from record
          join collection on collection.id = record.collection
          join device on device.id = collection.device`,
      ];
      for (const table of tables) await table.execute(db);
    },
  },
  "0002_moves": {
    async up(db) {
      const columns = [
        // Random, and made here: copies of the file have the same.
        sql`alter table store add column store_id text`,
        sql`update store set store_id = lower(hex(randomblob(16)))`,

        // What a move between stores has made of a device, and where its other end is; a move that never was is null.
        sql`alter table device add column status text not null default 'active'
          check (status in ('active', 'moving', 'incoming', 'moved'))`,
        sql`alter table device add column move_id text`,
        sql`alter table device add column peer_kind text`,
        sql`alter table device add column peer_store text`,
      ];
      for (const column of columns) await column.execute(db);
    },
  },
  "0003_record_by_name": {
    async up(db) {
      // The name that the same view has in PostgreSQL.
      await sql`drop view named_record`.execute(db);
      await sql`create view record_by_name as
        select device.user_id, device.device_id, collection.name as collection,
          record.key, length(record.value) as value_bytes, record.value
        from record
        join collection on collection.id = record.collection
        join device on device.id = collection.device`.execute(db);
    },
  },
  "0004_renewals": {
    async up(db) {
      // When expires_at was set last, in milliseconds since 1970; null where an earlier version did it.
      await sql`alter table process add column renewed_at integer`.execute(db);
    },
  },
};

const MIGRATION_TABLE = "migration";

/** The number of the newest migration there is. */
export const SCHEMA_VERSION = Math.max(...Object.keys(MIGRATIONS).map(numberOf));

function numberOf(name: string): number {
  return Number.parseInt(name, 10);
}

/** Whether the database has neither tables nor anybody's application id. */
export function isEmptyDatabase(db: Database.Database): boolean {
  return (
    db.pragma("application_id", { simple: true }) === 0 &&
    db.prepare("select count(*) from sqlite_schema").pluck().get() === 0
  );
}

/**
 * Whether all migrations have been applied.
 *
 * @throws `ERR_KEY_STORE_CORRUPT` where the database is not a key store,
 * `ERR_KEY_STORE_SCHEMA_TOO_NEW` where a later version has written it
 */
export function isUpToDate(db: Database.Database, path: string): boolean {
  if (db.pragma("application_id", { simple: true }) !== APPLICATION_ID) {
    throw corrupt(path, "this database belongs to another program, it is not a key store");
  }
  const applied = db.prepare(`select name from ${MIGRATION_TABLE}`).pluck().all() as string[];
  const unknown = applied.filter((name) => !Object.hasOwn(MIGRATIONS, name));
  if (unknown.length > 0) {
    const newest = Math.max(...unknown.map(numberOf));
    const message = `${path}: a later version of this library has written this key store (its schema is ${newest}, this one knows ${SCHEMA_VERSION}): upgrade the library`;
    throw new KeyStoreError("ERR_KEY_STORE_SCHEMA_TOO_NEW", message);
  }
  return applied.length === Object.keys(MIGRATIONS).length;
}

/** Larger databases are not checked as a whole: it takes about a millisecond for each MiB. */
const CHECKED_BYTES = 64 * 1024 * 1024;

/**
 * Looks for damage in the tables and their indexes, in which a record could
 * go missing without a word. The bytes of records are checked as they are read.
 *
 * @throws `ERR_KEY_STORE_CORRUPT`
 */
export function checkIntegrity(db: Database.Database, path: string): void {
  const pages = db.pragma("page_count", { simple: true }) as number;
  const pageSize = db.pragma("page_size", { simple: true }) as number;
  if (pages * pageSize > CHECKED_BYTES) return;
  const found = db.pragma("integrity_check(1)", { simple: true });
  if (found !== "ok") throw corrupt(path, `the file is damaged (${found})`);
}

/**
 * Applies every migration that is missing, all in one transaction. The caller
 * must not use the connection meanwhile.
 */
export async function migrate(db: Database.Database, path: string): Promise<void> {
  assertNoTransaction(db);
  db.exec("begin immediate");
  try {
    // Another process may have been first while this one waited for the lock.
    const isNew = isEmptyDatabase(db);
    if (isNew || !isUpToDate(db, path)) {
      if (isNew) db.pragma(`application_id = ${APPLICATION_ID}`);
      const migrator = new Migrator({
        db: new Kysely({ dialect: new SqliteDialect({ database: db }) }),
        provider: { getMigrations: async () => ({ ...MIGRATIONS }) },
        migrationTableName: MIGRATION_TABLE,
        migrationLockTableName: "migration_lock",
      });
      const { error } = await migrator.migrateToLatest();
      if (error !== undefined) throw error;
    }
    db.exec("commit");
  } catch (error) {
    if (db.inTransaction) db.exec("rollback");
    throw error;
  }
}
