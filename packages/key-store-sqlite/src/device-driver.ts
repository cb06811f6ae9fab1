import { crc32 } from "node:zlib";
import {
  type ByteRange,
  type CollectionChanges,
  type CollectionUsage,
  type DeviceDriver,
  type DeviceMark,
  type DeviceState,
  EMPTY,
  type Guard,
  MAX_KEY_BYTES,
  type Page,
  type StoredRecord,
} from "@holdfast/key-store-core";
import { whileBusy } from "./busy.ts";
import type { Connection } from "./connection.ts";
import { corrupt } from "./errors.ts";
import { holderOf, type Leases } from "./leases.ts";
import type { SqliteConfig } from "./options.ts";
import type { RecordRow, Statements } from "./statements.ts";

/** Greater than every key there can be: the bound of a range that has none. */
const AFTER_ALL_KEYS = new Uint8Array(MAX_KEY_BYTES + 1).fill(0xff);

/** One device's part of the file. */
export class SqliteDeviceDriver implements DeviceDriver {
  readonly #id: bigint;
  readonly #config: SqliteConfig;
  readonly #connection: Connection;
  readonly #leases: Leases;

  constructor(id: bigint, config: SqliteConfig, connection: Connection, leases: Leases) {
    this.#id = id;
    this.#config = config;
    this.#connection = connection;
    this.#leases = leases;
  }

  getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#run(() => {
      const { getRecord, getRecordByName } = this.#connection.statements;
      const [first] = keys;
      // Ids are not remembered: another process may have dropped the collection, and its id be another device's by now.
      if (first !== undefined && keys.length === 1)
        return [this.#valueOf(getRecordByName.get(this.#id, collection, first))];
      const id = this.#collectionId(collection);
      if (id === undefined) return keys.map(() => undefined);
      return keys.map((key) => this.#valueOf(getRecord.get(id, key)));
    });
  }

  list(collection: string, { start, end }: ByteRange, { limit, reverse, keysOnly }: Page): Promise<StoredRecord[]> {
    return this.#run(() => {
      const id = this.#collectionId(collection);
      if (id === undefined) return [];
      const { statements } = this.#connection;
      const page = [id, start, end ?? AFTER_ALL_KEYS, limit] as const;
      if (keysOnly) {
        const list = reverse ? statements.listKeysReversed : statements.listKeys;
        return list.all(...page).map((key) => ({ key: bytes(key), value: EMPTY }));
      }
      const list = reverse ? statements.listRecordsReversed : statements.listRecords;
      return list.all(...page).map((row) => this.#verified(row));
    });
  }

  count(collection: string, { start, end }: ByteRange): Promise<number> {
    return this.#run(() => {
      const { statements } = this.#connection;
      const row = statements.collection.get(this.#id, collection);
      if (row === undefined) return 0;
      if (start.byteLength === 0 && end === undefined) return row.records;
      return statements.countRange.get(row.id, start, end ?? AFTER_ALL_KEYS) ?? 0;
    });
  }

  commit(guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean> {
    return this.#guarded(guard, () => {
      for (const change of changes) this.#apply(change);
    });
  }

  mark(guard: Guard, { move, deviceId }: DeviceMark): Promise<boolean> {
    return this.#guarded(guard, ({ setMove, rename }) => {
      const { status = "active", id = null, peer } = move ?? {};
      setMove.run(status, id, peer?.kind ?? null, peer?.storeId ?? null, this.#id);
      if (deviceId !== undefined) rename.run(deviceId, this.#id);
    });
  }

  collections(): Promise<CollectionUsage[]> {
    return this.#run(() => {
      const rows = this.#connection.statements.collections.all(this.#id);
      return rows.map(({ name, ...rest }) => ({ collection: name, ...rest }));
    });
  }

  settle(holderId: string): Promise<DeviceState | undefined> {
    return this.#run(() =>
      this.#connection.write(() => {
        this.#connection.statements.raiseEpoch.run(this.#id, holderId);
        return this.#state();
      }),
    );
  }

  state(): Promise<DeviceState | undefined> {
    return this.#run(() => this.#state());
  }

  async release(holderId: string): Promise<void> {
    this.#leases.letGo(holderId);
    await this.#run(() =>
      this.#connection.write(() => this.#connection.statements.releaseDevice.run(this.#id, holderId)),
    );
    this.#leases.released(holderId);
  }

  /** One commit: whether the guard let `work` pass, and the revision has moved. */
  #guarded({ holderId, epoch, revision }: Guard, work: (statements: Statements) => void): Promise<boolean> {
    // SQLite has no larger numbers, so no row can equal them.
    if (BigInt.asIntN(64, epoch) !== epoch || BigInt.asIntN(64, revision) !== revision) return Promise.resolve(false);
    return this.#run(() =>
      this.#connection.write(() => {
        const { statements } = this.#connection;
        if (statements.moveRevision.run(this.#id, holderId, epoch, revision).changes === 0) return false;
        work(statements);
        this.#leases.renewIfDue(statements);
        return true;
      }),
    );
  }

  #run<T>(work: () => T): Promise<T> {
    return whileBusy(this.#config, work);
  }

  #state(): DeviceState | undefined {
    const row = this.#connection.statements.deviceById.get(this.#id);
    return row && { holder: holderOf(row), epoch: row.epoch, revision: row.revision };
  }

  #collectionId(name: string): number | undefined {
    return this.#connection.statements.collection.get(this.#id, name)?.id;
  }

  /** Applies what a commit does to one collection, and keeps its counters. */
  #apply({ collection, drop, removed, deletes, puts }: CollectionChanges): void {
    const { statements } = this.#connection;
    const before = statements.collection.get(this.#id, collection);
    if (before === undefined && puts.length === 0) return;
    const id = before?.id ?? Number(statements.insertCollection.run(this.#id, collection).lastInsertRowid);
    let { records, bytes } = before ?? { records: 0, bytes: 0 };

    if (drop) {
      statements.deleteRecords.run(id);
      records = 0;
    }
    for (const { start, end = AFTER_ALL_KEYS } of removed) {
      const [count, size] = statements.measureRange.get(id, start, end) ?? [0, 0];
      if (count === 0) continue;
      statements.deleteRange.run(id, start, end);
      records -= count;
      bytes -= size;
    }
    for (const key of deletes) {
      const length = statements.deleteRecord.get(id, key);
      if (length === undefined) continue;
      records -= 1;
      bytes -= key.byteLength + length;
    }
    for (const { key, value } of puts) {
      const checksum = checksumOf(key, value);
      bytes += value.byteLength;
      if (statements.insertRecord.run(id, key, value, checksum).changes === 1) {
        records += 1;
        bytes += key.byteLength;
      } else {
        bytes -= statements.valueLength.get(id, key) ?? 0;
        statements.updateRecord.run(value, checksum, id, key);
      }
    }

    // A collection is there as long as it has a record.
    if (records === 0) statements.dropCollection.run(id);
    else statements.countCollection.run(records, bytes, id);
  }

  #valueOf(row: RecordRow | undefined): Uint8Array | undefined {
    return row && this.#verified(row).value;
  }

  /** A row's record, if its bytes are what was written. */
  #verified([key, value, checksum]: RecordRow): StoredRecord {
    if (checksumOf(key, value) !== checksum) {
      throw corrupt(this.#config.path, "a record's bytes are not what was written");
    }
    return { key: bytes(key), value: bytes(value) };
  }
}

function checksumOf(key: Uint8Array, value: Uint8Array): number {
  return crc32(value, crc32(key));
}

/** Plain bytes: a `Buffer` would be taken for one by what reads it, with methods that mean other things. */
function bytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
