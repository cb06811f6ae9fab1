import type { DeviceStatus } from "@holdfast/key-store-core";
import type Database from "better-sqlite3";

/** A device's row with its holder's process. Numbers are bigints in it. */
export interface DeviceRow {
  readonly id: bigint;
  readonly epoch: bigint;
  readonly revision: bigint;
  /** The rest is null in a device that nobody holds. */
  readonly holder: string | null;
  readonly host: string | null;
  readonly pid: bigint | null;
  readonly label: string | null;
  readonly expires_at: bigint | null;
  /** Null as well in a lease that an earlier version has renewed last. */
  readonly renewed_at: bigint | null;
  /** What a move has made of it; the rest is null where there was none. */
  readonly status: DeviceStatus;
  readonly move_id: string | null;
  readonly peer_kind: string | null;
  readonly peer_store: string | null;
}

/** A device in a list. */
export interface DeviceListRow extends DeviceRow {
  readonly user_id: string;
  readonly device_id: string;
}

interface DeviceTotalsRow {
  readonly device: number;
  readonly records: number;
  readonly bytes: number;
}

interface CollectionRow {
  readonly id: number;
  readonly records: number;
  readonly bytes: number;
}

interface CollectionTotalsRow {
  readonly name: string;
  readonly records: number;
  readonly bytes: number;
}

/** A record as it is stored: key, value, checksum. */
export type RecordRow = [key: Buffer, value: Buffer, checksum: number];

type Range = [collection: number, start: Uint8Array, end: Uint8Array];
type RangePage = [...Range, limit: number];

const DEVICE = `device.id, epoch, revision, holder, host, pid, label, expires_at, renewed_at, status, move_id, peer_kind, peer_store
  from device left join process on process.id = device.process`;

const RANGE = "from record where collection = ? and key >= ? and key < ?";

/** All SQL of an open key store, prepared once. Texts compare by their UTF-8 bytes, blobs by theirs. */
export class Statements {
  readonly version;
  readonly storeId;
  readonly probe;
  readonly begin;
  readonly commit;
  readonly rollback;

  readonly device;
  readonly deviceById;
  readonly insertDevice;
  readonly takeDevice;
  readonly moveRevision;
  readonly setMove;
  readonly rename;
  readonly raiseEpoch;
  readonly releaseDevice;
  readonly releaseHolder;
  readonly deleteDevice;
  readonly deleteDeviceRecords;
  readonly deleteDeviceCollections;
  readonly listDevices;
  readonly deviceTotals;

  readonly renewProcess;
  readonly deleteProcess;
  readonly deleteStaleProcesses;

  readonly collection;
  readonly insertCollection;
  readonly countCollection;
  readonly dropCollection;
  readonly collectionTotals;
  readonly collections;

  readonly getRecord;
  readonly getRecordByName;
  readonly insertRecord;
  readonly valueLength;
  readonly updateRecord;
  readonly deleteRecord;
  readonly measureRange;
  readonly countRange;
  readonly deleteRange;
  readonly deleteRecords;
  readonly listRecords;
  readonly listRecordsReversed;
  readonly listKeys;
  readonly listKeysReversed;

  constructor(db: Database.Database) {
    const row = <P extends unknown[], R>(sql: string) => db.prepare<P, R>(sql);

    this.version = db.prepare("select sqlite_version()").pluck();
    this.storeId = db.prepare("select store_id from store").pluck();
    this.probe = db.prepare("select wal_complete from store");
    this.begin = db.prepare("begin immediate");
    this.commit = db.prepare("commit");
    this.rollback = db.prepare("rollback");

    this.device = row<[userId: string, deviceId: string], DeviceRow>(
      `select ${DEVICE} where user_id = ? and device_id = ?`,
    ).safeIntegers();
    this.deviceById = row<[id: bigint], DeviceRow>(`select ${DEVICE} where device.id = ?`).safeIntegers();
    this.insertDevice = row<[userId: string, deviceId: string], never>(
      "insert into device (user_id, device_id, epoch, revision) values (?, ?, 0, 0)",
    );
    this.takeDevice = row<[holder: string, process: string, id: bigint], never>(
      "update device set epoch = epoch + 1, holder = ?, process = ? where id = ?",
    );
    this.moveRevision = row<[id: bigint, holder: string, epoch: bigint, revision: bigint], never>(
      "update device set revision = revision + 1 where id = ? and holder = ? and epoch = ? and revision = ?",
    );
    this.setMove = row<
      [status: string, move: string | null, kind: string | null, store: string | null, id: bigint],
      never
    >("update device set status = ?, move_id = ?, peer_kind = ?, peer_store = ? where id = ?");
    this.rename = row<[deviceId: string, id: bigint], never>("update device set device_id = ? where id = ?");
    this.raiseEpoch = row<[id: bigint, holder: string], never>(
      "update device set epoch = epoch + 1 where id = ? and holder = ?",
    );
    this.releaseDevice = row<[id: bigint, holder: string], never>(
      "update device set holder = null, process = null where id = ? and holder = ?",
    );
    this.releaseHolder = row<[holder: string], never>(
      "update device set holder = null, process = null where holder = ?",
    );
    this.deleteDevice = row<[id: bigint], never>("delete from device where id = ?");
    this.deleteDeviceRecords = row<[id: bigint], never>(
      "delete from record where collection in (select id from collection where device = ?)",
    );
    this.deleteDeviceCollections = row<[id: bigint], never>("delete from collection where device = ?");
    this.listDevices = row<[], DeviceListRow>(
      `select user_id, device_id, ${DEVICE} order by user_id, device_id`,
    ).safeIntegers();
    this.deviceTotals = row<[], DeviceTotalsRow>(
      "select device, sum(records) as records, sum(bytes) as bytes from collection group by device",
    );

    this.renewProcess = row<
      [id: string, host: string, pid: number, label: string, renewedAt: number, expiresAt: number],
      never
    >(
      `insert into process (id, host, pid, label, renewed_at, expires_at) values (?, ?, ?, ?, ?, ?)
       on conflict (id) do update set renewed_at = excluded.renewed_at, expires_at = excluded.expires_at`,
    );
    this.deleteProcess = row<[id: string], never>(
      `delete from process where id = ? and not exists (select 1 from device where device.process = process.id)`,
    );
    this.deleteStaleProcesses = row<[before: number], never>(
      `delete from process where expires_at < ?
       and not exists (select 1 from device where device.process = process.id)`,
    );

    this.collection = row<[device: bigint, name: string], CollectionRow>(
      "select id, records, bytes from collection where device = ? and name = ?",
    );
    this.insertCollection = row<[device: bigint, name: string], never>(
      "insert into collection (device, name, records, bytes) values (?, ?, 0, 0)",
    );
    this.countCollection = row<[records: number, bytes: number, id: number], never>(
      "update collection set records = ?, bytes = ? where id = ?",
    );
    this.dropCollection = row<[id: number], never>("delete from collection where id = ?");
    this.collectionTotals = row<[], CollectionTotalsRow>(
      "select name, sum(records) as records, sum(bytes) as bytes from collection group by name order by name",
    );
    this.collections = row<[device: bigint], CollectionTotalsRow>(
      "select name, records, bytes from collection where device = ? and records > 0 order by name",
    );

    this.getRecord = row<[collection: number, key: Uint8Array], RecordRow>(
      "select key, value, checksum from record where collection = ? and key = ?",
    ).raw();
    this.getRecordByName = row<[device: bigint, collection: string, key: Uint8Array], RecordRow>(
      `select key, value, checksum from record
       where collection = (select id from collection where device = ? and name = ?) and key = ?`,
    ).raw();
    this.insertRecord = row<[collection: number, key: Uint8Array, value: Uint8Array, checksum: number], never>(
      "insert into record (collection, key, value, checksum) values (?, ?, ?, ?) on conflict do nothing",
    );
    this.valueLength = row<[collection: number, key: Uint8Array], number>(
      "select length(value) from record where collection = ? and key = ?",
    ).pluck();
    this.updateRecord = row<[value: Uint8Array, checksum: number, collection: number, key: Uint8Array], never>(
      "update record set value = ?, checksum = ? where collection = ? and key = ?",
    );
    this.deleteRecord = row<[collection: number, key: Uint8Array], number>(
      "delete from record where collection = ? and key = ? returning length(value)",
    ).pluck();
    this.measureRange = row<Range, [records: number, bytes: number]>(
      `select count(*), coalesce(sum(length(key) + length(value)), 0) ${RANGE}`,
    ).raw();
    this.countRange = row<Range, number>(`select count(*) ${RANGE}`).pluck();
    this.deleteRange = row<Range, never>(`delete ${RANGE}`);
    this.deleteRecords = row<[collection: number], never>("delete from record where collection = ?");
    const list = "select key, value, checksum";
    this.listRecords = row<RangePage, RecordRow>(`${list} ${RANGE} order by key limit ?`).raw();
    this.listRecordsReversed = row<RangePage, RecordRow>(`${list} ${RANGE} order by key desc limit ?`).raw();
    this.listKeys = row<RangePage, Buffer>(`select key ${RANGE} order by key limit ?`).pluck();
    this.listKeysReversed = row<RangePage, Buffer>(`select key ${RANGE} order by key desc limit ?`).pluck();
  }
}
