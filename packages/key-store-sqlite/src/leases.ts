import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { LeaseHolder } from "@holdfast/key-store-core";
import type { SqliteConfig } from "./options.ts";
import type { DeviceRow, Statements } from "./statements.ts";

/**
 * The openings of all drivers that have not been released, and those that are
 * done though the file may still name them. Another thread of this process, or
 * another copy of this package, has its own.
 */
const openHere = new Set<string>();
const doneHere = new Set<string>();

/** How long a lease has been over when its row is deleted, if no device points to it. */
const STALE_MS = 24 * 60 * 60 * 1000;

/** A device's holder as its row tells, whether or not its lease is in force. */
export function holderOf({ holder, host, pid, label }: DeviceRow): LeaseHolder | undefined {
  if (holder === null) return undefined;
  return { id: holder, host: host ?? "", pid: Number(pid ?? 0), label: label ?? "" };
}

/** A device's holder, if its lease's time limit runs: what alone tells whether a device may be deleted. */
export function holderInTime(row: DeviceRow): LeaseHolder | undefined {
  return row.expires_at === null || row.expires_at <= Date.now() ? undefined : holderOf(row);
}

/** A device's holder, if its lease is in force. */
export function holderInForce(row: DeviceRow): LeaseHolder | undefined {
  const holder = holderInTime(row);
  if (holder === undefined) return undefined;
  // A process of this host that is gone does not come back: whoever follows it need not wait.
  return holder.host === hostname() && !isAlive(holder, row) ? undefined : holder;
}

function isAlive({ id, pid }: LeaseHolder, { renewed_at }: DeviceRow): boolean {
  if (pid === process.pid) {
    if (openHere.has(id)) return true;
    if (doneHere.has(id)) return false;
    // A process that follows another may have got its number, in a container most of all.
    return renewed_at === null || Number(renewed_at) >= startedAt();
  }
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // There is one, of another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** When this process began, in milliseconds since 1970, by the clock of then or of now: whichever is earlier. */
function startedAt(): number {
  return Math.min(performance.timeOrigin, Date.now() - process.uptime() * 1000);
}

/** The leases of one driver: the rows in `process` that its devices point to, and their renewal. */
export class Leases {
  readonly #config: SqliteConfig;
  readonly #renew: () => Promise<void>;
  /** By holder: host, process id and label of one driver are the same as a rule, and so one row. */
  readonly #rows = new Map<string, { readonly id: string; readonly holder: LeaseHolder }>();
  readonly #held = new Set<string>();
  /** Holders that are done and that the file may still name: renewals would keep their leases in force for nobody. */
  readonly #unreleased = new Set<string>();
  #renewedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `renew` makes a transaction that calls {@link Leases.renewIfDue}; it does not reject. */
  constructor(config: SqliteConfig, renew: () => Promise<void>) {
    this.#config = config;
    this.#renew = renew;
  }

  /** Writes the lease of a holder that takes a device, and answers with the id of its row. In a transaction. */
  write(statements: Statements, holder: LeaseHolder): string {
    const { host, pid, label } = holder;
    const key = JSON.stringify([host, pid, label]);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { id: randomUUID(), holder };
      this.#rows.set(key, row);
      // What processes left behind that ended without a word.
      statements.deleteStaleProcesses.run(Date.now() - STALE_MS);
    }
    this.#releaseAll(statements);
    this.#write(statements, row.id, holder, Date.now());
    return row.id;
  }

  /** Renews all leases of the driver where a third of their time is over. In a transaction. */
  renewIfDue(statements: Statements): void {
    const now = Date.now();
    if (Math.abs(now - this.#renewedAt) < this.#config.leaseMs / 3) return;
    this.#releaseAll(statements);
    for (const { id, holder } of this.#rows.values()) this.#write(statements, id, holder, now);
    this.#renewedAt = now;
  }

  /** After the transaction that took a device. */
  taken(holderId: string): void {
    openHere.add(holderId);
    this.#held.add(holderId);
    if (!this.#config.heartbeat || this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#renew(), this.#config.leaseMs / 3);
    this.#timer.unref();
  }

  /** Before the transaction that gives a device back: whether or not that succeeds, its holder is done. */
  letGo(holderId: string): void {
    openHere.delete(holderId);
    doneHere.add(holderId);
    this.#held.delete(holderId);
    this.#unreleased.add(holderId);
    if (this.#held.size === 0) this.#stop();
  }

  /** After that transaction: the file names the holder no more. */
  released(holderId: string): void {
    doneHere.delete(holderId);
    this.#unreleased.delete(holderId);
  }

  /** Ends all of them. In a transaction. */
  end(statements: Statements): void {
    this.#releaseAll(statements);
    for (const { id } of this.#rows.values()) statements.deleteProcess.run(id);
  }

  stop(): void {
    for (const id of [...this.#held]) this.letGo(id);
    this.#stop();
  }

  /** Gives back what could not be given back before. In a transaction, which may fail: one that was named stays. */
  #releaseAll(statements: Statements): void {
    for (const holderId of this.#unreleased) {
      if (statements.releaseHolder.run(holderId).changes === 0) this.released(holderId);
    }
  }

  #write(statements: Statements, id: string, { host, pid, label }: LeaseHolder, now: number): void {
    statements.renewProcess.run(id, host, pid, label, now, now + this.#config.leaseMs);
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
