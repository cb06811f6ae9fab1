import { randomUUID } from "node:crypto";
import {
  type AcquireOutcome,
  type AcquireRequest,
  type DeviceRef,
  type DeviceSummary,
  DriverKeyStore,
  type EngineInfo,
  isBehind,
  type KeyStoreDriver,
  KeyStoreError,
  type KeyStoreOptions,
  type KeyStoreUsage,
  type LeaseHolder,
} from "@holdfast/key-store-core";
import { Database, holderOf, stateOf } from "./database.ts";
import { deviceDriver, usageOf } from "./device.ts";
import { SCHEMA } from "./schema.ts";

const LEASE_MS = 15_000;

/** Keys in one file, by the SQLite that comes with Node.js: for the programs of one machine. */
export class NodeSqliteKeyStore extends DriverKeyStore {
  constructor(path: string, options: KeyStoreOptions = {}) {
    super(new NodeSqliteDriver(path), options);
  }
}

/** The hooks. Each is synchronous inside; what writes is one transaction. */
export class NodeSqliteDriver implements KeyStoreDriver {
  readonly kind = "node-sqlite";
  readonly name = "Node.js SQLite";
  readonly persistence = "durable";
  readonly mode = "development";
  readonly #path: string;
  readonly #id = randomUUID();
  #db: Database | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async connect(): Promise<EngineInfo> {
    this.#db ??= new Database(this.#path);
    const db = this.#db;
    this.#heartbeat ??= setInterval(() => this.#renew(), LEASE_MS / 3).unref();
    return db.transaction(() => {
      const version = Number(db.rows("pragma user_version")[0]?.user_version);
      if (version > 1) throw new KeyStoreError("ERR_KEY_STORE_SCHEMA_TOO_NEW", `${this.#path} has schema ${version}`);
      if (version === 0) {
        db.exec(SCHEMA);
        db.rows("insert into store values (?)", randomUUID());
      }
      const found = db.rows("select id, sqlite_version() as version from store")[0];
      return { version: String(found?.version), schemaVersion: 1, storeId: String(found?.id) };
    });
  }

  async acquire({ device, holder, ...asked }: AcquireRequest): Promise<AcquireOutcome> {
    const db = this.#open();
    return db.transaction(() => {
      const name = [device.userId, device.deviceId];
      const row = db.rows("select * from device where user_id = ? and device_id = ?", ...name)[0];
      const current = row && holderOf(row);
      if (current !== undefined && current.id !== holder.id && !asked.force)
        return { outcome: "held", holder: current };
      const move = row?.move ? JSON.parse(String(row.move)) : undefined;
      if (!asked.forMove && move !== undefined && move.status !== "active") return { outcome: "moving", move };
      const { epoch: last, revision } = stateOf(row ?? { holder: null, epoch: 0, revision: 0 });
      const found = { epoch: last, revision };
      if (!asked.acceptRollback && isBehind(found, asked.known)) return { outcome: "rolled-back", found };
      if (row === undefined && !asked.create) return { outcome: "absent" };
      if (row === undefined) {
        const created = asked.created === undefined ? null : JSON.stringify(asked.created);
        db.rows("insert into device (user_id, device_id, move) values (?, ?, ?)", ...name, created);
      }
      const sql = `update device set epoch = epoch + 1, holder = ?, driver = ?, lease_until = ?
        where user_id = ? and device_id = ? returning id`;
      const taken = db.rows(sql, JSON.stringify(holder), this.#id, Date.now() + LEASE_MS, ...name)[0];
      const marked = row === undefined ? asked.created : move;
      const opened = deviceDriver(db, Number(taken?.id));
      return { outcome: "acquired", epoch: last + 1n, revision, device: opened, ...(marked && { move: marked }) };
    });
  }

  async listDevices(): Promise<DeviceSummary[]> {
    const rows = this.#open().rows(`
      select device.*, ifnull(sum(records), 0) as records, ifnull(sum(bytes), 0) as bytes
      from device left join counter on counter.device = device.id group by id order by user_id, device_id`);
    return rows.map((row) => ({
      userId: String(row.user_id),
      deviceId: String(row.device_id),
      ...stateOf(row),
      holder: holderOf(row),
      records: Number(row.records),
      bytes: Number(row.bytes),
      status: row.move ? JSON.parse(String(row.move)).status : "active",
    }));
  }

  async deleteDevice({ userId, deviceId }: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder> {
    const db = this.#open();
    return db.transaction(() => {
      const row = db.rows("select * from device where user_id = ? and device_id = ?", userId, deviceId)[0];
      if (row === undefined) return "absent";
      const holder = holderOf(row);
      if (holder !== undefined) return holder;
      for (const table of ["record where device", "device where id"])
        db.rows(`delete from ${table} = ?`, Number(row.id));
      return "deleted";
    });
  }

  async usage(): Promise<KeyStoreUsage> {
    const devices = await this.listDevices();
    const leases = devices.flatMap(({ userId, deviceId, holder }) => (holder ? [{ userId, deviceId, holder }] : []));
    const rows = this.#open().rows(
      "select collection, sum(records) as records, sum(bytes) as bytes from counter group by collection order by collection",
    );
    return { devices: devices.length, leases: leases.slice(0, 1_000), collections: rows.map(usageOf) };
  }

  async disconnect(): Promise<void> {
    clearInterval(this.#heartbeat);
    this.#db?.close();
    this.#db = undefined;
  }

  /** Keeps the leases of this driver in force; one that cannot be renewed ends, and its writer is fenced by who takes it. */
  #renew(): void {
    try {
      const until = Date.now() + LEASE_MS;
      this.#db?.rows("update device set lease_until = ? where driver = ? and holder is not null", until, this.#id);
    } catch {
      // Busy: there is time for two more.
    }
  }

  #open(): Database {
    if (this.#db === undefined) throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `${this.#path} is not open`);
    return this.#db;
  }
}
