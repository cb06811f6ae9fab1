import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { median } from "./median.ts";

/** What durability costs here, whoever asks for it. Medians, in milliseconds. */
export interface Machine {
  /** Appending 4 KiB to a file where SQLite's is, and `fsync`: the least that one of its commits can cost. */
  readonly fsyncMs: number;
  /** `select 1`, as a prepared statement on a connection that is open: the way to the server and back, without its disk. */
  readonly roundTripMs: number;
  /** A round trip that updates one row and waits for the disk: the least that a commit there can cost. */
  readonly durableCommitMs: number;
}

/** How often each is tried, and how often beforehand, unmeasured. */
const TRIES = 100;
const WARM_UPS = 20;

/** File systems in memory, by the numbers that Linux gives them: tmpfs and ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

/** @throws where a directory is in memory: nothing written there is durable, and its fsync costs nothing */
export async function requireDisk(directory: string): Promise<void> {
  const { type } = await statfs(directory);
  if (process.platform === "linux" && IN_MEMORY.has(type)) {
    throw new Error(`${directory} is in memory: set TMPDIR to a directory on a disk`);
  }
}

function measureFsync(directory: string): number[] {
  const path = join(directory, "fsync");
  const file = openSync(path, "wx");
  const bytes = Buffer.alloc(4096, 1);
  try {
    const once = (): number => {
      const began = performance.now();
      writeSync(file, bytes);
      fsyncSync(file);
      return performance.now() - began;
    };
    const times = Array.from({ length: WARM_UPS + TRIES }, once);
    return times.slice(WARM_UPS);
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

/** Measures on a database of its own. */
async function measurePostgres(url: string): Promise<{ roundTrips: number[]; durableCommits: number[] }> {
  const sql = postgres(url, { max: 1 });
  try {
    await sql`create table durable (id int primary key, value int not null)`;
    await sql`insert into durable values (1, 0)`;
    const roundTrips = await times(() => sql`select 1 as one`);
    const durableCommits = await times(() => sql`update durable set value = value + 1 where id = 1`);
    return { roundTrips, durableCommits };
  } finally {
    await sql.end();
  }
}

async function times(work: () => PromiseLike<unknown>): Promise<number[]> {
  const measured: number[] = [];
  for (let index = 0; index < WARM_UPS + TRIES; index += 1) {
    const began = performance.now();
    await work();
    measured.push(performance.now() - began);
  }
  return measured.slice(WARM_UPS);
}

/** Collects what is measured before each process of each run. */
export class MachineFigures {
  readonly #fsyncs: number[] = [];
  readonly #roundTrips: number[] = [];
  readonly #durableCommits: number[] = [];

  async measure(directory: string, databaseUrl: string | undefined): Promise<void> {
    this.#fsyncs.push(...measureFsync(directory));
    if (databaseUrl === undefined) return;
    const { roundTrips, durableCommits } = await measurePostgres(databaseUrl);
    this.#roundTrips.push(...roundTrips);
    this.#durableCommits.push(...durableCommits);
  }

  get medians(): Machine {
    return {
      fsyncMs: median(this.#fsyncs),
      roundTripMs: median(this.#roundTrips),
      durableCommitMs: median(this.#durableCommits),
    };
  }
}
