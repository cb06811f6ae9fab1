import { setImmediate as nextTurn } from "node:timers/promises";
import type {
  ByteRange,
  CollectionChanges,
  CollectionUsage,
  DeviceDriver,
  DeviceMark,
  DeviceMove,
  DeviceState,
  DeviceStatus,
  Guard,
  LeaseHolder,
  Page,
  StoredRecord,
} from "@holdfast/key-store-core";
import {
  type ChangeParameters,
  type CollectionIds,
  changeParameters,
  idsAfter,
  STAGE_BYTES,
  sizeOf,
  stages,
} from "./changes.ts";
import {
  byteaArray,
  byteaParameter,
  bytes,
  count,
  endParameter,
  flag,
  integer,
  optionalText,
  type Row,
  text,
} from "./codec.ts";
import { corrupt } from "./errors.ts";
import { type Executor, SILENCE_MS } from "./executor.ts";
import type { Leases } from "./leases.ts";
import type { Statements } from "./sql.ts";

const EMPTY = new Uint8Array();

/** A device as its opening found it. */
export interface TakenDevice {
  readonly id: bigint;
  readonly collections: CollectionIds;
  readonly guard: Guard;
  readonly lineage: string | undefined;
}

/** One device's rows. */
export class PostgresDevice implements DeviceDriver {
  readonly #executor: Executor;
  readonly #sql: Statements;
  readonly #leases: Leases;
  readonly #id: string;
  /** As the database has them, or not known: after an attempt whose outcome is not. */
  #collections: CollectionIds | undefined;
  /** Counts commits and looks: who ends after another one began knows less than it. */
  #turn = 0;
  /** The row as it was acknowledged last; `undefined` while that is not known. */
  #known: Guard | undefined;
  /** The lineage in which the row was known to be whole. */
  #lineage: string | undefined;

  constructor(executor: Executor, sql: Statements, leases: Leases, { id, collections, guard, lineage }: TakenDevice) {
    this.#executor = executor;
    this.#sql = sql;
    this.#leases = leases;
    this.#id = String(id);
    this.#collections = collections;
    this.#known = guard;
    this.#lineage = lineage;
  }

  /** Tells the database that the device has come whole into another lineage, where it has. */
  async confirm(lineage: string): Promise<void> {
    if (this.#known === undefined || this.#lineage === lineage) return;
    const parameters = [...this.#guardOf(this.#known), lineage];
    const { affected } = await this.#executor.run("a look at the lineage", this.#sql.confirmLineage, parameters);
    // Not the row that is known: a commit runs, or the row has gone back, and the next commit tells.
    if (affected > 0) this.#lineage = lineage;
  }

  async getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const { rows } = await this.#executor.run("a read", this.#sql.getMany, [this.#id, collection, byteaArray(keys)]);
    const values: (Uint8Array | undefined)[] = keys.map(() => undefined);
    for (const row of rows) values[this.#placeOf(row, keys.length)] = bytes(row, 1);
    return values;
  }

  async list(collection: string, range: ByteRange, page: Page): Promise<StoredRecord[]> {
    const keysOnly = page.keysOnly ?? false;
    const statement = this.#sql.list[keysOnly ? "keys" : "records"][page.reverse ? "desc" : "asc"];
    const parameters = [...this.#rangeOf(collection, range), String(page.limit)];
    const { rows } = await this.#executor.run("a scan", statement, parameters);
    return rows.map((row) => ({ key: bytes(row, 0), value: keysOnly ? EMPTY : bytes(row, 1) }));
  }

  async count(collection: string, range: ByteRange): Promise<number> {
    const isAll = range.start.byteLength === 0 && range.end === undefined;
    const { rows } = isAll
      ? await this.#executor.run("a count", this.#sql.countAll, [this.#id, collection])
      : await this.#executor.run("a count", this.#sql.count, this.#rangeOf(collection, range));
    return rows[0] === undefined ? 0 : count(rows[0], 0);
  }

  async commit(guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean> {
    this.#turn += 1;
    const turn = this.#turn;
    const before = this.#collections ?? (await this.#readCollections());
    // Until the outcome is known, so are the ids not.
    this.#collections = undefined;
    this.#known = undefined;
    const applied = await this.#apply(guard, changes, before);
    if (this.#turn === turn) {
      this.#collections = applied ? idsAfter(before, changes) : before;
      this.#known = applied ? { ...guard, revision: guard.revision + 1n } : undefined;
    }
    return applied;
  }

  async mark(guard: Guard, { move, deviceId }: DeviceMark): Promise<boolean> {
    const parameters = [...this.#guardOf(guard), ...moveParameters(move), deviceId ?? null];
    const { affected } = await this.#executor.commit("a commit", this.#sql.mark, parameters);
    this.#known = affected > 0 ? { ...guard, revision: guard.revision + 1n } : undefined;
    return affected > 0;
  }

  async collections(): Promise<CollectionUsage[]> {
    const { rows } = await this.#executor.run("a look at the collections", this.#sql.collectionUsage, [this.#id]);
    return rows.map((row) => ({ collection: text(row, 0), records: count(row, 1), bytes: count(row, 2) }));
  }

  async settle(holderId: string): Promise<DeviceState | undefined> {
    this.#turn += 1;
    this.#collections = undefined;
    await this.#executor.commit("the look after a commit", this.#sql.settle, [this.#id, holderId]);
    return this.state();
  }

  async state(): Promise<DeviceState | undefined> {
    const { rows } = await this.#executor.run("a look at the device", this.#sql.device, [this.#id]);
    return rows[0] === undefined ? undefined : deviceState(rows[0]);
  }

  async release(holderId: string): Promise<void> {
    this.#known = undefined;
    this.#leases.letGo(holderId);
    await this.#executor.run("giving the lease back", this.#sql.release, [this.#id, holderId]);
    this.#leases.released(holderId);
  }

  #apply(guard: Guard, changes: readonly CollectionChanges[], before: CollectionIds): Promise<boolean> {
    const after = idsAfter(before, changes);
    const guarded = this.#guardOf(guard);
    return sizeOf(changes) > STAGE_BYTES
      ? this.#applyInStages(guarded, changes, before, after)
      : this.#applyAtOnce(guarded, changeParameters(changes, before, after));
  }

  #guardOf({ holderId, epoch, revision }: Guard): string[] {
    return [this.#id, holderId, String(epoch), String(revision)];
  }

  async #applyAtOnce(guarded: readonly string[], { kind, parameters }: ChangeParameters): Promise<boolean> {
    const { rows } = await this.#executor.commit("a commit", this.#sql.commit[kind], [...guarded, ...parameters]);
    const row = rows[0] ?? corrupt("the server did not say whether the commit was applied");
    return flag(row, 0);
  }

  /**
   * The guard comes first and keeps the device locked: a writer that has been
   * fenced writes nothing at all, so it never makes its successor wait for
   * records; and whoever looks after an uncertain outcome waits for the whole.
   */
  async #applyInStages(
    guarded: readonly string[],
    changes: readonly CollectionChanges[],
    before: CollectionIds,
    after: CollectionIds,
  ): Promise<boolean> {
    const applied = await this.#executor.transaction("a commit", async (run) => {
      const { affected } = await run(this.#sql.guard, [...guarded, SILENCE_MS]);
      if (affected === 0) return undefined;
      // Each stage is encoded while the server still writes the one before.
      let writing: Promise<unknown> = Promise.resolve();
      for (const stage of stages(changes)) {
        const { kind, parameters } = changeParameters(stage, before, after);
        await writing;
        writing = run(this.#sql.stage[kind], [this.#id, null, null, null, ...parameters]);
        // The client hands it to the socket before the next turn of the event loop, which the encoding would hold up.
        await Promise.race([writing, nextTurn()]);
      }
      await writing;
      return true;
    });
    return applied === true;
  }

  async #readCollections(): Promise<CollectionIds> {
    const { rows } = await this.#executor.commit("reading the collections", this.#sql.collections, [this.#id]);
    return collectionIds(rows);
  }

  #rangeOf(collection: string, { start, end }: ByteRange): string[] {
    return [this.#id, collection, byteaParameter(start), endParameter(end)];
  }

  /** Which of the keys a row answers, from 0. */
  #placeOf(row: Row, keys: number): number {
    const place = count(row, 0);
    if (place < 1 || place > keys) corrupt("the server answered for a key that nobody asked for");
    return place - 1;
  }
}

/** The ids of a device's collections, from rows that have id and name from a column on. */
export function collectionIds(rows: readonly Row[], column = 0): CollectionIds {
  const ids = new Map(rows.map((row) => [text(row, column + 1), count(row, column)]));
  return { ids, next: Math.max(0, ...ids.values()) + 1 };
}

/** A device's row: id, epoch, revision, holder, host, pid, label, … */
export function deviceState(row: Row): DeviceState {
  return { epoch: integer(row, 1), revision: integer(row, 2), holder: holderOf(row) };
}

/** Who a device's row says has it, whether or not the lease is still in force. */
export function holderOf(row: Row): LeaseHolder | undefined {
  const id = optionalText(row, 3);
  if (id === undefined) return undefined;
  // A process whose row somebody took away is still the holder, though nobody knows who it was.
  const pid = row[5] === null ? 0 : count(row, 5);
  return Object.freeze({ id, host: optionalText(row, 4) ?? "", pid, label: optionalText(row, 6) ?? "" });
}

const STATUSES: readonly string[] = ["active", "moving", "incoming", "moved"] satisfies DeviceStatus[];

/** A text that a constraint of the table keeps in the list. */
export function statusOf(row: Row, column: number): DeviceStatus {
  const status = text(row, column);
  return STATUSES.includes(status) ? (status as DeviceStatus) : corrupt(`a device's status is ${status}`);
}

/** What a move has made of a device, from the columns of `sql.device`; `undefined` where there was none. */
export function moveOf(row: Row): DeviceMove | undefined {
  const id = optionalText(row, 10);
  if (id === undefined) return undefined;
  const peer = { kind: optionalText(row, 11) ?? "", storeId: optionalText(row, 12) ?? "" };
  return Object.freeze({ status: statusOf(row, 9), id, peer: Object.freeze(peer) });
}

/** A move as the parameters status, id, and its other end's kind and store. */
export function moveParameters(move: DeviceMove | undefined): (string | null)[] {
  return [move?.status ?? "active", move?.id ?? null, move?.peer.kind ?? null, move?.peer.storeId ?? null];
}
