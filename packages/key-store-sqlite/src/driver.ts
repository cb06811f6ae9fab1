import type {
  AcquireOutcome,
  AcquireRequest,
  DeviceMove,
  DeviceRef,
  DeviceSummary,
  EngineInfo,
  KeyStoreDriver,
  KeyStoreUsage,
  LeaseHolder,
  LeaseSummary,
} from "@holdfast/key-store-core";
import { isBehind, KeyStoreError } from "@holdfast/key-store-core";
import { whileBusy } from "./busy.ts";
import { Connection } from "./connection.ts";
import { SqliteDeviceDriver } from "./device-driver.ts";
import { holderInForce, holderInTime, Leases } from "./leases.ts";
import type { SqliteConfig } from "./options.ts";
import { type SqliteKeyStoreOptions, sqliteConfig } from "./options.ts";
import type { DeviceListRow, DeviceRow } from "./statements.ts";

/** The most leases that `usage()` tells. */
const MAX_LEASES = 1_000;

/** The hooks of a key store in one SQLite file. Every transaction is synchronous, so nothing comes between its parts. */
export class SqliteDriver implements KeyStoreDriver {
  readonly kind = "sqlite";
  readonly name = "SQLite";
  readonly persistence = "durable";
  readonly mode = "development";
  readonly #config: SqliteConfig;
  readonly #leases: Leases;
  #connection: Connection | undefined;
  #isClosed = false;

  /** @throws `ERR_KEY_STORE_CONFIG` */
  constructor(options: SqliteKeyStoreOptions) {
    this.#config = sqliteConfig(options);
    this.#leases = new Leases(this.#config, () => this.#renewLeases());
  }

  async connect(signal: AbortSignal): Promise<EngineInfo> {
    const connection = this.#connection;
    if (connection !== undefined) {
      await whileBusy(this.#config, () => connection.check(), signal);
      return connection.engine;
    }
    const opened = await Connection.open(this.#config, signal);
    if (this.#connection !== undefined || this.#isClosed || signal.aborted) {
      opened.close();
      return opened.engine;
    }
    this.#connection = opened;
    return opened.engine;
  }

  acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    return this.#run((connection) => {
      const outcome = connection.write(() => this.#acquire(connection, request));
      if (outcome.outcome === "acquired") this.#leases.taken(request.holder.id);
      return outcome;
    });
  }

  #acquire(connection: Connection, request: AcquireRequest): AcquireOutcome {
    const { device, holder, create, force, forMove, created, known, acceptRollback } = request;
    const { userId, deviceId } = device;
    const { statements } = connection;
    const found = statements.device.get(userId, deviceId);
    const inForce = found === undefined || force ? undefined : holderInForce(found);
    // The holder itself asks again when the answer to its first request was lost.
    if (inForce !== undefined && inForce.id !== holder.id) return { outcome: "held", holder: inForce };
    const move = found === undefined ? created : moveOf(found);
    if (!forMove && move !== undefined && move.status !== "active") return { outcome: "moving", move };
    const { epoch = 0n, revision = 0n } = found ?? {};
    if (!acceptRollback && isBehind({ epoch, revision }, known)) {
      return { outcome: "rolled-back", found: { epoch, revision } };
    }
    if (found === undefined && !create) return { outcome: "absent" };
    const id = found?.id ?? BigInt(statements.insertDevice.run(userId, deviceId).lastInsertRowid);
    const taken = new SqliteDeviceDriver(id, this.#config, connection, this.#leases);
    if (found === undefined && created !== undefined) {
      statements.setMove.run(created.status, created.id, created.peer.kind, created.peer.storeId, id);
    }
    statements.takeDevice.run(holder.id, this.#leases.write(statements, holder), id);
    return { outcome: "acquired", epoch: epoch + 1n, revision, device: taken, ...(move && { move }) };
  }

  listDevices(): Promise<DeviceSummary[]> {
    return this.#run(({ statements }) => {
      const totals = new Map(statements.deviceTotals.all().map((row) => [BigInt(row.device), row]));
      return statements.listDevices.all().map((row): DeviceSummary => {
        const { records = 0, bytes = 0 } = totals.get(row.id) ?? {};
        const { epoch, revision, status } = row;
        return { ...refOf(row), epoch, revision, holder: holderInForce(row), records, bytes, status };
      });
    });
  }

  deleteDevice({ userId, deviceId }: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder> {
    return this.#run((connection) =>
      connection.write(() => {
        const { statements } = connection;
        const row = statements.device.get(userId, deviceId);
        if (row === undefined) return "absent";
        // Not by whether its holder lives: containers may share a host's name, and what is deleted is gone.
        const holder = holderInTime(row);
        if (holder !== undefined) return holder;
        statements.deleteDeviceRecords.run(row.id);
        statements.deleteDeviceCollections.run(row.id);
        statements.deleteDevice.run(row.id);
        return "deleted";
      }),
    );
  }

  usage(): Promise<KeyStoreUsage> {
    return this.#run(({ statements }) => {
      const leases: LeaseSummary[] = [];
      const rows = statements.listDevices.all();
      for (const row of rows) {
        const holder = holderInForce(row);
        if (holder !== undefined && leases.length < MAX_LEASES) leases.push({ ...refOf(row), holder });
      }
      const collections = statements.collectionTotals.all().map(({ name, ...rest }) => ({ collection: name, ...rest }));
      return { devices: rows.length, leases, collections };
    });
  }

  async disconnect(): Promise<void> {
    this.#isClosed = true;
    this.#leases.stop();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    const end = () => connection.write(() => this.#leases.end(connection.statements));
    // Where it fails the leases run out by themselves.
    await whileBusy(this.#config, end).catch(() => {});
    connection.close();
  }

  async #renewLeases(): Promise<void> {
    const renew = (connection: Connection) => connection.write(() => this.#leases.renewIfDue(connection.statements));
    // Where it fails the leases run out, and the next commit says why.
    await this.#run(renew).catch(() => {});
  }

  #run<T>(work: (connection: Connection) => T): Promise<T> {
    return whileBusy(this.#config, () => {
      const connection = this.#connection;
      if (connection === undefined) {
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `${this.#config.path}: the file is not open`);
      }
      return work(connection);
    });
  }
}

function refOf({ user_id, device_id }: DeviceListRow): DeviceRef {
  return { userId: user_id, deviceId: device_id };
}

/** What a move has made of a device; `undefined` where there was none. */
function moveOf({ status, move_id: id, peer_kind: kind, peer_store: storeId }: DeviceRow): DeviceMove | undefined {
  if (id === null) return undefined;
  return { status, id, peer: { kind: kind ?? "", storeId: storeId ?? "" } };
}
