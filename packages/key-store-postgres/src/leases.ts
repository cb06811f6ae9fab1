import { randomUUID } from "node:crypto";
import type { LeaseHolder } from "@holdfast/key-store-core";
import { text, textArray } from "./codec.ts";
import type { Executor } from "./executor.ts";
import type { Statements } from "./sql.ts";

export interface LeaseOptions {
  readonly leaseMs: number;
  readonly heartbeat: boolean;
}

/**
 * How long an opening whose answer was lost may still come to pass, in
 * milliseconds: the server ends a transaction of ours that falls silent long before.
 */
const DOUBT_MS = 30_000;

/** A device whose lineage can be confirmed: see `PostgresDevice`. */
interface Confirmable {
  confirm(lineage: string): Promise<void>;
}

interface Process {
  readonly id: string;
  readonly holder: LeaseHolder;
  /** When its last beat that arrived was sent, by this process's own clock. */
  beatAt: number;
}

/**
 * The row of this process in the database, which the devices it holds point
 * to, and the heartbeat that keeps their leases in force. Nothing depends on
 * the beats but how soon others may take a device over.
 */
export class Leases {
  readonly #sql: Statements;
  readonly #options: LeaseOptions;
  /** One row, unless holders call themselves differently. */
  readonly #processes = new Map<string, Process>();
  /** By holder; `undefined` while it is being opened. */
  readonly #held = new Map<string, Confirmable | undefined>();
  /**
   * The holders whose release or opening had no answer, with the time until
   * which the database may still come to name them: the beats would keep their
   * leases in force for nobody.
   */
  readonly #unreleased = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | undefined;
  #releasing: Promise<void> | undefined;
  #confirming: Promise<void> | undefined;

  constructor(sql: Statements, options: LeaseOptions) {
    this.#sql = sql;
    this.#options = options;
  }

  /** Makes sure of this process's row before a device points to it, and answers with its id. */
  async join(executor: Executor, holder: LeaseHolder): Promise<string> {
    const name = JSON.stringify([holder.host, holder.pid, holder.label]);
    let process = this.#processes.get(name);
    if (process === undefined) {
      process = { id: randomUUID(), holder, beatAt: Number.NEGATIVE_INFINITY };
      this.#processes.set(name, process);
    }
    // One that runs may have this holder among its own, from an attempt before.
    await this.#releasing;
    void this.#releaseAll(executor);
    // While the heart beats, its last beat is as good as one now.
    const isFresh = this.#timer !== undefined && performance.now() - process.beatAt < this.#options.leaseMs / 2;
    if (!isFresh) await this.#beat(executor, process);
    return process.id;
  }

  /** A device is held, or about to be: its lease is kept in force. */
  hold(executor: Executor, holderId: string): void {
    this.#held.set(holderId, undefined);
    if (!this.#options.heartbeat || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#beatAll(executor), Math.ceil(this.#options.leaseMs / 3)).unref();
  }

  /** The device that a holder has opened. */
  opened(holderId: string, device: Confirmable): void {
    this.#unreleased.delete(holderId);
    if (this.#held.has(holderId)) this.#held.set(holderId, device);
  }

  /**
   * Whether a lease belongs to this process, which does not hold it: what is
   * left when the answer to an opening, or to a release, was lost. The beats
   * would keep it in force for nobody.
   */
  isOrphan(processId: string | undefined, holderId: string): boolean {
    const isOurs = Array.from(this.#processes.values()).some(({ id }) => id === processId);
    return isOurs && !this.#held.has(holderId);
  }

  /**
   * A device is held no more; the heart stops with the last one, so that a
   * database may sleep. The database may still name its holder, until {@link released}.
   */
  letGo(holderId: string): void {
    this.#unreleased.set(holderId, Number.NEGATIVE_INFINITY);
    this.#forget(holderId);
  }

  /** The database names this holder no more. */
  released(holderId: string): void {
    this.#unreleased.delete(holderId);
  }

  /** An opening did not take the device, or has failed, and nobody knows whether it did. */
  notOpened(holderId: string, isInDoubt: boolean): void {
    if (isInDoubt) this.#unreleased.set(holderId, performance.now() + DOUBT_MS);
    this.#forget(holderId);
  }

  #forget(holderId: string): void {
    this.#held.delete(holderId);
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Stops, and takes this process's rows away where no device points to them. */
  async leave(executor: Executor): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#processes.size === 0) return;
    await this.#releaseAll(executor);
    await executor.run("ending a process's leases", this.#sql.forget, [this.#ids]);
  }

  /** Gives back what could not be given back before. One at a time; what fails is made up for the next time. */
  #releaseAll(executor: Executor): Promise<void> {
    this.#releasing ??= this.#tryToReleaseAll(executor)
      .catch(() => {})
      .finally(() => {
        this.#releasing = undefined;
      });
    return this.#releasing;
  }

  async #tryToReleaseAll(executor: Executor): Promise<void> {
    // Who opens a device has a second attempt under way.
    const holders = Array.from(this.#unreleased.keys()).filter((holderId) => !this.#held.has(holderId));
    if (holders.length === 0) return;
    const began = performance.now();
    const limitMs = Math.ceil(this.#options.leaseMs / 3);
    const { rows } = await executor.urgently(
      "giving leases back",
      this.#sql.releaseAll,
      [this.#ids, textArray(holders)],
      limitMs,
    );
    const named = new Set(rows.map((row) => text(row, 0)));
    // What was named is looked at once more: it may have been locked, and left.
    for (const holderId of holders) {
      if (!named.has(holderId) && began > (this.#unreleased.get(holderId) ?? 0)) this.#unreleased.delete(holderId);
    }
  }

  /** The ids of this process's rows, as the server takes them. */
  get #ids(): string {
    return textArray(Array.from(this.#processes.values(), ({ id }) => id));
  }

  #beatAll(executor: Executor): void {
    // One at a time; a beat that fails is made up for by the next one.
    this.#beating ??= Promise.allSettled(
      Array.from(this.#processes.values(), (process) => this.#beat(executor, process)),
    )
      .then(() => {})
      .finally(() => {
        this.#beating = undefined;
      });
    void this.#releaseAll(executor);
    // By itself: it may wait for a commit, and the beats must not.
    this.#confirming ??= this.#confirm(executor)
      .catch(() => {})
      .finally(() => {
        this.#confirming = undefined;
      });
  }

  /** After a failover, what this process knows of its devices tells whether they came through whole. */
  async #confirm(executor: Executor): Promise<void> {
    const limitMs = Math.ceil(this.#options.leaseMs / 3);
    const lineage = await executor.lineage((ask) => executor.urgently("a look at the lineage", ask, [], limitMs));
    if (lineage === undefined) return;
    for (const device of this.#held.values()) await device?.confirm(lineage);
  }

  async #beat(executor: Executor, process: Process): Promise<void> {
    const { id, holder } = process;
    const { host, pid, label } = holder;
    const at = performance.now();
    const { leaseMs } = this.#options;
    const parameters = [id, host, String(pid), label, String(leaseMs)];
    // Neither a busy pool nor a dead connection may take so long that every lease of this process runs out.
    await executor.urgently("a heartbeat", this.#sql.beat, parameters, Math.ceil(leaseMs / 3));
    process.beatAt = at;
  }
}
