import { describe, expect, it } from "vitest";
import { median } from "../src/median.ts";
import { FULL_SIZE, type Measurement } from "../src/protocol.ts";
import type { Series } from "../src/run.ts";
import { summary } from "../src/summary.ts";

const MACHINE = { fsyncMs: 0.5, roundTripMs: 0.25, durableCommitMs: 0.75 };

function series(engine: Series["engine"], times: readonly number[], more: Partial<Measurement> = {}): Series {
  return {
    workload: "encrypt",
    engine,
    measurements: times.map((ms) => ({ ms, cpuMs: ms, calls: 300, commits: 0, ...more })),
  };
}

function lineOf(one: Series, ...others: Series[]) {
  const lines = summary({ machine: MACHINE, series: [one, ...others] }, FULL_SIZE);
  return lines.find(({ engine }) => engine === one.engine);
}

describe("the median", () => {
  it("is the number in the middle, in order of size", () => {
    expect(median([10, 9, 100])).toBe(10);
  });

  it("is the mean of the two in the middle where there are two", () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });
});

describe("a line of the table", () => {
  it("compares the medians of one run with each other", () => {
    const line = lineOf(
      series("memory", [150, 100, 900]),
      series("fake-indexeddb", [300, 300, 1]),
      series("in-memory", [50]),
    );
    expect(line).toMatchObject({ ms: 150, leastMs: 100, mostMs: 900, perFakeIndexedDB: 0.5, perInMemory: 3 });
  });

  it("takes one fsync off for each commit on SQLite", () => {
    const line = lineOf(series("sqlite", [350], { commits: 300 }), series("fake-indexeddb", [200]));
    expect(line).toMatchObject({ perFakeIndexedDB: 1.75, lessDurabilityPerFakeIndexedDB: 1 });
  });

  it("takes one round trip off for each commit on PostgreSQL, and shows apart what a durable commit would take off", () => {
    const line = lineOf(series("postgres", [375], { commits: 300, statements: 300 }), series("fake-indexeddb", [200]));
    expect(line).toMatchObject({ lessDurabilityPerFakeIndexedDB: 1.5, lessDurableCommitsPerFakeIndexedDB: 0.75 });
  });

  it("judges its targets, each by its own reckoning", () => {
    const reached = lineOf(series("sqlite", [350], { commits: 300 }), series("fake-indexeddb", [200]));
    expect(reached?.targets).toEqual([{ reckoning: "less durability", atMost: 1, found: 1, reached: true }]);
    const missed = lineOf(series("memory", [81]), series("fake-indexeddb", [100]));
    expect(missed?.targets).toEqual([{ reckoning: "measured", atMost: 0.8, found: 0.81, reached: false }]);
  });

  it("judges IndexedDB by itself as measured, on SQLite with its commits", () => {
    const puts = (engine: Series["engine"], ms: number): Series => ({ ...series(engine, [ms]), workload: "puts" });
    const all = [puts("fake-indexeddb", 100), puts("memory", 101), puts("sqlite", 150), puts("postgres", 900)];
    const lines = summary({ machine: MACHINE, series: all }, FULL_SIZE);
    expect(lines.map(({ targets }) => targets)).toEqual([
      [],
      [{ reckoning: "measured", atMost: 1, found: 1.01, reached: false }],
      [{ reckoning: "measured", atMost: 1.5, found: 1.5, reached: true }],
      [],
    ]);
  });

  it("counts the statements of PostgreSQL per record", () => {
    const imported = {
      ...series("postgres", [100], { commits: 1, statements: 20_000 }),
      workload: "import" as const,
    };
    const [line] = summary({ machine: MACHINE, series: [imported] }, FULL_SIZE);
    expect(line?.targets).toEqual([{ reckoning: "statements", atMost: 0.05, found: 1, reached: false }]);
  });

  it("has no ratio, and judges none, where the engine to compare with was not measured", () => {
    const line = lineOf(series("memory", [150]));
    expect(line).toMatchObject({ perFakeIndexedDB: null, perInMemory: null, targets: [] });
  });
});
