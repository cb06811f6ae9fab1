/**
 * What the engine keeps in memory, measured in processes of their own.
 *
 * Both counts stand for a million, and are smaller here for the time it takes.
 * `INDEXEDDB_TRANSACTIONS=1000000` and `INDEXEDDB_RECORDS=1000000` make them
 * what they stand for.
 */
import { expect, it } from "vitest";
import { Child } from "../durability/child.ts";
import { newPath } from "../durability/storages.ts";

const TRANSACTIONS = Number(process.env.INDEXEDDB_TRANSACTIONS ?? 200_000);
const RECORDS = Number(process.env.INDEXEDDB_RECORDS ?? 100_000);
const MIB = 1_024 * 1_024;
const TIMEOUT_MS = 60_000 + (TRANSACTIONS + 2 * RECORDS) / 5;

/** Runs one of the programs to what it says. */
async function run<Said>(program: string, argument: unknown): Promise<Said> {
  const child = new Child<Said>(new URL(`./programs/${program}.ts`, import.meta.url), argument, {
    nodeOptions: ["--expose-gc"],
  });
  return child.says();
}

interface Walk {
  readonly records: number;
  readonly indexed: number;
  /** In use at the most, while it walked. */
  readonly bytes: number;
  /** What the process had of the machine at the most, garbage included. */
  readonly peakRss: number;
}

it(
  `leaves nothing behind of ${TRANSACTIONS} transactions`,
  async () => {
    const argument = { transactions: TRANSACTIONS, warmUp: 50_000 };
    const { before, after } = await run<{ before: number; after: number }>("run-transactions", argument);
    console.log(`${TRANSACTIONS} transactions: ${mib(before)} before, ${mib(after)} after`);
    expect(after - before).toBeLessThan(5 * MIB);
  },
  TIMEOUT_MS,
);

it(
  `holds little of a database of ${RECORDS} records while a cursor runs over all of it`,
  async () => {
    const [empty, full] = [newPath(), newPath()];
    await run("fill-database", { path: empty, records: 0 });
    await run("fill-database", { path: full, records: RECORDS });
    const above = async (cacheBytes?: number): Promise<number> => {
      const nothing = await run<Walk>("walk-database", { path: empty, cacheBytes });
      const all = await run<Walk>("walk-database", { path: full, cacheBytes });
      expect([nothing.records, nothing.indexed]).toEqual([0, 0]);
      expect([all.records, all.indexed]).toEqual([RECORDS, RECORDS]);
      const resident = `${mib(nothing.peakRss)} and ${mib(all.peakRss)} resident at the most`;
      console.log(
        `${RECORDS} records, ${cacheBytes === undefined ? "the usual" : mib(cacheBytes)} of cache: ${mib(nothing.bytes)} empty, ${mib(all.bytes)} full; ${resident}`,
      );
      return all.bytes - nothing.bytes;
    };
    // 64 MiB for a million: what is held may not grow with what there is.
    expect(await above(0)).toBeLessThan((64 * MIB * RECORDS) / 1_000_000);
    // The cache of the key store takes what it has by default, and what its book-keeping takes.
    expect(await above()).toBeLessThan(64 * MIB);
  },
  TIMEOUT_MS,
);

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
