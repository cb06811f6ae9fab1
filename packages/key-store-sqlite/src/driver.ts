import type {
  AcquireOutcome,
  AcquireRequest,
  DeviceRef,
  DeviceSummary,
  EngineInfo,
  KeyStoreDriver,
  KeyStoreUsage,
  LeaseHolder,
  LeaseSummary,
} from "@holdfast/key-store-core";
import { KeyStoreError } from "@holdfast/key-store-core";
import { whileBusy } from "./busy.ts";
import { Connection } from "./connection.ts";
import { SqliteDeviceDriver } from "./device-driver.ts";
import { holderInForce, holderInTime, Leases } from "./leases.ts";
import type { SqliteConfig } from "./options.ts";
import { type SqliteKeyStoreOptions, sqliteConfig } from "./options.ts";
import type { DeviceListRow } from "./statements.ts";

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

  acquire({ device, holder, create, force }: AcquireRequest): Promise<AcquireOutcome> {
    const { userId, deviceId } = device;
    return this.#run((connection) => {
      const { statements } = connection;
      const outcome = connection.write((): AcquireOutcome => {
        let row = statements.device.get(userId, deviceId);
        if (row === undefined) {
          if (!create) return { outcome: "absent" };
          statements.insertDevice.run(userId, deviceId);
          row = statements.device.get(userId, deviceId);
        }
        if (row === undefined) throw new Error("a device that was inserted is not there");
        const inForce = force ? undefined : holderInForce(row);
        // The holder itself asks again when the answer to its first request was lost.
        if (inForce !== undefined && inForce.id !== holder.id) return { outcome: "held", holder: inForce };
        statements.takeDevice.run(holder.id, this.#leases.write(statements, holder), row.id);
        const { id, epoch, revision } = row;
        const taken = new SqliteDeviceDriver(id, this.#config, connection, this.#leases);
        return { outcome: "acquired", epoch: epoch + 1n, revision, device: taken };
      });
      if (outcome.outcome === "acquired") this.#leases.taken(holder.id);
      return outcome;
    });
  }

  listDevices(): Promise<DeviceSummary[]> {
    return this.#run(({ statements }) => {
      const totals = new Map(statements.deviceTotals.all().map((row) => [BigInt(row.device), row]));
      return statements.listDevices.all().map((row): DeviceSummary => {
        const { records = 0, bytes = 0 } = totals.get(row.id) ?? {};
        const { epoch, revision } = row;
        return { ...refOf(row), epoch, revision, holder: holderInForce(row), records, bytes };
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
