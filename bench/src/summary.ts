import type { Machine } from "./machine.ts";
import { median } from "./median.ts";
import type { EngineName, Sizes, WorkloadName } from "./protocol.ts";
import type { Figures, Series } from "./run.ts";
import { recordsOf, TARGETS, type Target } from "./targets.ts";

/** How a target was met. */
export interface Outcome {
  readonly reckoning: Target["reckoning"];
  readonly atMost: number;
  readonly found: number;
  readonly reached: boolean;
}

/** One workload on one engine. Ratios are `null` where the engine to compare with was not measured. */
export interface Line {
  readonly workload: WorkloadName;
  readonly engine: EngineName;
  /** Median, and the extremes. */
  readonly ms: number;
  readonly leastMs: number;
  readonly mostMs: number;
  /** Of the process's main thread: the median. */
  readonly cpuMs: number;
  readonly calls: number;
  readonly commits: number;
  /** What PostgreSQL ran; `null` for the other engines. */
  readonly statements: number | null;
  readonly perFakeIndexedDB: number | null;
  readonly perInMemory: number | null;
  /** Per `fake-indexeddb`, after `commits × fsyncMs` (SQLite) or `commits × roundTripMs` (PostgreSQL) is taken off. */
  readonly lessDurabilityPerFakeIndexedDB: number | null;
  /** The same for PostgreSQL with `commits × durableCommitMs`: for information, no target is judged by it. */
  readonly lessDurableCommitsPerFakeIndexedDB: number | null;
  readonly targets: readonly Outcome[];
}

/** Every line of the table, workload by workload. */
export function summary({ machine, series }: Figures, sizes: Sizes): Line[] {
  return series.map((one) => lineOf(one, series, machine, sizes));
}

function lineOf(
  { workload, engine, measurements }: Series,
  all: readonly Series[],
  machine: Machine,
  sizes: Sizes,
): Line {
  const times = measurements.map(({ ms }) => ms);
  const ms = median(times);
  const commits = median(measurements.map((measurement) => measurement.commits));
  const statements =
    engine === "postgres" ? median(measurements.map((measurement) => measurement.statements ?? Number.NaN)) : null;
  const msOn = (reference: EngineName): number | undefined => {
    const found = all.find((candidate) => candidate.workload === workload && candidate.engine === reference);
    return found && median(found.measurements.map((measurement) => measurement.ms));
  };
  const per = (time: number, reference: EngineName): number | null => {
    const other = msOn(reference);
    return other === undefined ? null : time / other;
  };
  const perFakeIndexedDB = per(ms, "fake-indexeddb");
  const perCommit = { sqlite: machine.fsyncMs, postgres: machine.roundTripMs }[engine as string];
  const lessDurability = perCommit === undefined ? null : per(ms - commits * perCommit, "fake-indexeddb");
  const lessCommits = engine === "postgres" ? per(ms - commits * machine.durableCommitMs, "fake-indexeddb") : null;
  const found: Record<Target["reckoning"], number | null> = {
    measured: perFakeIndexedDB,
    "less durability": lessDurability,
    statements: statements === null ? null : statements / recordsOf(workload, sizes),
  };
  return {
    workload,
    engine,
    ms,
    leastMs: Math.min(...times),
    mostMs: Math.max(...times),
    cpuMs: median(measurements.map(({ cpuMs }) => cpuMs)),
    calls: median(measurements.map(({ calls }) => calls)),
    commits,
    statements,
    perFakeIndexedDB,
    perInMemory: per(ms, "in-memory"),
    lessDurabilityPerFakeIndexedDB: lessDurability,
    lessDurableCommitsPerFakeIndexedDB: lessCommits,
    targets: outcomes(workload, engine, found),
  };
}

function outcomes(
  workload: WorkloadName,
  engine: EngineName,
  figures: Readonly<Record<Target["reckoning"], number | null>>,
): Outcome[] {
  const mine = TARGETS.filter((target) => target.engine === engine && target.workloads.includes(workload));
  return mine.flatMap(({ reckoning, atMost }) => {
    const found = figures[reckoning];
    return found === null ? [] : [{ reckoning, atMost, found, reached: found <= atMost }];
  });
}
