import type {
  AcquireOutcome,
  AcquireRequest,
  DeviceMove,
  DeviceRef,
  DeviceState,
  DeviceSummary,
  EngineInfo,
  HighWaterMark,
  KeyStoreDriver,
  KeyStoreUsage,
  LeaseHolder,
} from "@holdfast/key-store-core";
import { isBehind, KeyStoreError } from "@holdfast/key-store-core";
import { count, flag, integer, optionalText, text } from "./codec.ts";
import { collectionIds, deviceState, holderOf, moveOf, moveParameters, PostgresDevice, statusOf } from "./device.ts";
import { corrupt, keyStoreError } from "./errors.ts";
import { Executor, type Run, SILENCE_MS } from "./executor.ts";
import { InjectedPool } from "./injected-pool.ts";
import { Leases } from "./leases.ts";
import { openConnection } from "./open-connection.ts";
import type { PostgresPlan } from "./options.ts";
import { OwnPool } from "./own-pool.ts";
import type { Pool } from "./pool.ts";
import { prepareServer, type ServerReport } from "./server.ts";
import { type Statements, statements } from "./sql.ts";

/** How long the end waits for the server to take this process's row away, in milliseconds. */
const FAREWELL_MS = 1_000;

interface LockedDevice {
  readonly id: bigint;
  readonly state: DeviceState;
  readonly isInForce: boolean;
  readonly move: DeviceMove | undefined;
  /** In which lineage it was last known to be whole. */
  readonly lineage: string | undefined;
}

/** What is found of a device that is not there. */
const ABSENT: HighWaterMark = Object.freeze({ epoch: 0n, revision: 0n });

/** {@link KeyStoreDriver} on PostgreSQL. */
export class PostgresDriver implements KeyStoreDriver {
  readonly kind = "postgres";
  readonly name = "PostgreSQL";
  readonly persistence = "durable";
  readonly mode = "production";
  readonly #plan: PostgresPlan;
  readonly #sql: Statements;
  readonly #pool: Pool;
  readonly #leases: Leases;
  #executor: Executor | undefined;

  constructor(plan: PostgresPlan) {
    this.#plan = plan;
    this.#sql = statements(plan.schema, plan.durable);
    this.#leases = new Leases(this.#sql, plan);
    const { connection, maxConnections } = plan;
    this.#pool =
      typeof connection === "function" ? new InjectedPool(connection) : new OwnPool(connection, maxConnections);
  }

  async connect(signal: AbortSignal): Promise<EngineInfo> {
    try {
      const report = await this.#look(signal);
      this.#executor ??= new Executor(this.#pool, this.#sql, this.#plan, report);
      return report.engine;
    } catch (error) {
      throw keyStoreError(error, "connecting");
    }
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    const executor = this.#ready;
    const { holder } = request;
    this.#leases.hold(executor, holder.id);
    let isInDoubt = false;
    try {
      const process = await this.#leases.join(executor, holder);
      isInDoubt = true;
      const outcome = (await this.#take(executor, request, process)) ?? { outcome: "absent" };
      // The only devices that this driver gives out.
      if (outcome.outcome === "acquired") this.#leases.opened(holder.id, outcome.device as PostgresDevice);
      else this.#leases.notOpened(holder.id, false);
      return outcome;
    } catch (error) {
      this.#leases.notOpened(holder.id, isInDoubt);
      throw error;
    }
  }

  #take(executor: Executor, request: AcquireRequest, process: string): Promise<AcquireOutcome | undefined> {
    const { device, holder, create, force, forMove, created, known, acceptRollback } = request;
    return executor.transaction("opening a device", async (run): Promise<AcquireOutcome | undefined> => {
      let found = await this.#lock(run, device);
      if (found === undefined) {
        if (!acceptRollback && isBehind(ABSENT, known)) return { outcome: "rolled-back", found: ABSENT };
        if (!create) return undefined;
        found = await this.#create(run, device, created);
      }
      const { state, move } = found;
      // Somebody who asks again, after a connection that broke, may have it already.
      if (state.holder !== undefined && state.holder.id !== holder.id && found.isInForce && !force) {
        return { outcome: "held", holder: state.holder };
      }
      if (!forMove && move !== undefined && move.status !== "active") return { outcome: "moving", move };
      if (!acceptRollback && isBehind(state, known)) {
        return { outcome: "rolled-back", found: { epoch: state.epoch, revision: state.revision } };
      }
      const lineage = await executor.lineage(run);
      if (!acceptRollback && isDoubtful(found, lineage, known)) {
        const { epoch, revision } = state;
        return { outcome: "rolled-back", found: { epoch, revision }, reason: doubt(device, found.lineage, lineage) };
      }
      const { rows } = await run(this.#sql.takeDevice, [String(found.id), holder.id, process, lineage ?? null]);
      const taken = rows[0] ?? corrupt("the server lost a device that was locked");
      const collections = collectionIds(
        rows.filter((row) => row[2] !== null),
        2,
      );
      const [epoch, revision] = [integer(taken, 0), integer(taken, 1)];
      const guard = { holderId: holder.id, epoch, revision };
      const opened = new PostgresDevice(executor, this.#sql, this.#leases, {
        id: found.id,
        collections,
        guard,
        lineage,
      });
      return { outcome: "acquired", epoch, revision, device: opened, ...(move && { move }) };
    });
  }

  async listDevices(): Promise<DeviceSummary[]> {
    const { rows } = await this.#ready.run("listing devices", this.#sql.devices);
    return rows.map((row) => {
      const { epoch, revision, holder } = deviceState(row);
      return {
        userId: text(row, 9),
        deviceId: text(row, 10),
        epoch,
        revision,
        holder: flag(row, 7) ? holder : undefined,
        records: count(row, 11),
        bytes: count(row, 12),
        status: statusOf(row, 13),
      };
    });
  }

  async deleteDevice(device: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder> {
    const outcome = await this.#ready.transaction("deleting a device", async (run) => {
      const found = await this.#lock(run, device);
      if (found === undefined) return undefined;
      const { holder } = found.state;
      if (holder !== undefined && found.isInForce) return holder;
      for (const statement of [this.#sql.deleteRecords, this.#sql.deleteCollections, this.#sql.deleteDevice]) {
        await run(statement, [String(found.id)]);
      }
      return "deleted" as const;
    });
    return outcome ?? "absent";
  }

  async usage(): Promise<KeyStoreUsage> {
    const run = (statement: string) => this.#ready.run("reading the stats", statement);
    const [devices, leases, collections] = await Promise.all([
      run(this.#sql.deviceCount),
      run(this.#sql.leases),
      run(this.#sql.usage),
    ]);
    return {
      devices: count(devices.rows[0] ?? corrupt("the server did not count the devices"), 0),
      leases: leases.rows.map((row) => ({
        userId: text(row, 9),
        deviceId: text(row, 10),
        holder: holderOf(row) ?? corrupt("a lease in force has no holder"),
      })),
      collections: collections.rows.map((row) => ({
        collection: text(row, 0),
        records: count(row, 1),
        bytes: count(row, 2),
      })),
    };
  }

  async disconnect(): Promise<void> {
    if (this.#executor !== undefined) {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, FAREWELL_MS);
      });
      // The row runs out by itself where the server cannot be asked.
      await Promise.race([this.#leases.leave(this.#executor).catch(() => {}), patience]);
      clearTimeout(timer);
    }
    await this.#pool.end();
  }

  /** Over a connection of its own, so that giving up on it cuts nobody else off. */
  async #look(signal: AbortSignal): Promise<ServerReport> {
    const { connection } = this.#plan;
    if (typeof connection === "function" || !(this.#pool instanceof OwnPool)) {
      return this.#pool.use((session) => prepareServer(session, this.#sql, this.#plan));
    }
    const session = await openConnection(connection, signal);
    const giveUp = (): void => session.destroy();
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      signal.throwIfAborted();
      const report = await prepareServer(session, this.#sql, this.#plan);
      signal.throwIfAborted();
      await this.#pool.adopt(session);
      return report;
    } catch (error) {
      session.destroy();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  /** Makes a device, unless somebody else is faster, and locks it. */
  async #create(run: Run, device: DeviceRef, move: DeviceMove | undefined): Promise<LockedDevice> {
    const { affected } = await run(this.#sql.createDevice, [device.userId, device.deviceId]);
    const made = (await this.#lock(run, device)) ?? corrupt("the server lost a device that was made");
    if (affected === 0 || move === undefined) return made;
    await run(this.#sql.markCreated, [String(made.id), ...moveParameters(move)]);
    return { ...made, move };
  }

  /** Locks a device's row, and then reads it: read together, the holder could be one from before the wait. */
  async #lock(run: Run, device: DeviceRef): Promise<LockedDevice | undefined> {
    const locked = (await run(this.#sql.lockDevice, [device.userId, device.deviceId, SILENCE_MS])).rows[0];
    if (locked === undefined) return undefined;
    const id = integer(locked, 0);
    const row =
      (await run(this.#sql.device, [String(id)])).rows[0] ?? corrupt("the server lost a device that was locked");
    const state = deviceState(row);
    const { holder } = state;
    const isOrphan = holder !== undefined && this.#leases.isOrphan(optionalText(row, 8), holder.id);
    return { id, state, isInForce: flag(row, 7) && !isOrphan, move: moveOf(row), lineage: optionalText(row, 13) };
  }

  get #ready(): Executor {
    if (this.#executor !== undefined) return this.#executor;
    throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the PostgreSQL key store is not connected");
  }
}

/**
 * Whether a device may have lost commits: the server writes another history
 * than the one in which the device was whole, and this process does not know
 * the row to be what it left.
 */
function isDoubtful(
  { state, lineage: recorded }: LockedDevice,
  current: string | undefined,
  known: HighWaterMark | undefined,
): boolean {
  if (recorded === undefined || current === undefined || recorded === current) return false;
  return known === undefined || state.epoch !== known.epoch || state.revision !== known.revision;
}

function doubt({ userId, deviceId }: DeviceRef, recorded: string | undefined, current: string | undefined): string {
  return `the PostgreSQL server writes the history ${current} (system identifier and timeline), and device ${deviceId} of ${userId} was last whole in ${recorded}: the server was promoted, recovered to a point in time, or restored into another cluster, and may have lost the last commits`;
}
