import type { IDBDatabase, IDBFactory } from "../../src/index.ts";
import { openDatabase, resultOf } from "../support/requests.ts";

/** How many records each transaction writes. */
export const RECORDS = 40;

/** A database whose records, index, log and key generator all tell which transaction was the last. */
export function openLedger(factory: IDBFactory): Promise<IDBDatabase> {
  return openDatabase(factory, "ledger", 1, (database) => {
    database.createObjectStore("state", { keyPath: "id" }).createIndex("generation", "generation");
    database.createObjectStore("log", { autoIncrement: true });
  });
}

/** What is in a ledger, as far as it tells of generations. */
export interface LedgerState {
  readonly generations: readonly number[];
  readonly indexed: readonly unknown[];
  readonly log: unknown;
  readonly logKeys: unknown;
}

/** Reads a whole ledger in one transaction. */
export async function readLedger(database: IDBDatabase): Promise<LedgerState> {
  const transaction = database.transaction(["state", "log"]);
  const state = transaction.objectStore("state");
  const [records, indexed, log, logKeys] = await Promise.all([
    resultOf(state.getAll()),
    resultOf(state.index("generation").getAllKeys()),
    resultOf(transaction.objectStore("log").getAll()),
    resultOf(transaction.objectStore("log").getAllKeys()),
  ]);
  return {
    generations: records.map(({ generation }: { generation: number }) => generation),
    indexed,
    log,
    logKeys,
  };
}

/** What a ledger is after this generation's transaction: all of it, and nothing of another. */
export function ledgerAfter(generation: number): LedgerState {
  return {
    generations: Array.from({ length: RECORDS }, () => generation),
    indexed: Array.from({ length: RECORDS }, (_, id) => id),
    log: [{ generation }],
    logKeys: [generation],
  };
}
