import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite";
import { type DeviceState, KeyStoreError, type LeaseHolder } from "@holdfast/key-store-core";

export type Row = Record<string, SQLOutputValue>;

/** A file and its transactions: what fails in it becomes a `KeyStoreError`. */
export class Database {
  readonly #db: DatabaseSync;

  constructor(path: string) {
    this.#db = new DatabaseSync(path);
    this.#db.exec("pragma busy_timeout = 1000; pragma journal_mode = wal; pragma synchronous = full");
  }

  rows(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#db.prepare(sql).all(...values) as Row[];
  }

  /** Everything that `work` does, or nothing. Nobody else writes between its reads and its writes. */
  transaction<T>(work: () => T): T {
    try {
      this.#db.exec("begin immediate");
      const result = work();
      this.#db.exec("commit");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("rollback");
      // Primary codes of SQLite: full, corrupt, not a database. The core takes any other failure for a passing one.
      const code = Number((error as { errcode?: unknown }).errcode) & 0xff;
      if (code === 13) throw new KeyStoreError("ERR_KEY_STORE_DISK_FULL", "the disk is full", { cause: error });
      if (code === 11 || code === 26)
        throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", "the file is damaged", { cause: error });
      throw error;
    }
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  close(): void {
    this.#db.close();
  }
}

/** Who has a device, by a lease that is in force. */
export function holderOf({ holder, lease_until }: Row): LeaseHolder | undefined {
  return holder === null || Number(lease_until) <= Date.now() ? undefined : JSON.parse(String(holder));
}

/** A device's row as the core compares it. */
export function stateOf(row: Row): DeviceState {
  const holder = row.holder === null ? undefined : JSON.parse(String(row.holder));
  return { holder, epoch: BigInt(Number(row.epoch)), revision: BigInt(Number(row.revision)) };
}
