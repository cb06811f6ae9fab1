import type { Machine } from "./machine.ts";
import type { Options } from "./options.ts";
import { FULL_SIZE, type Sizes, type WorkloadName } from "./protocol.ts";
import type { Line, Outcome } from "./summary.ts";

const HEADINGS = [
  "engine",
  "ms",
  "least–most",
  "cpu ms",
  "calls",
  "commits",
  "statements",
  "× fake",
  "× in-memory",
  "× fake, less syncs",
  "targets",
];

/** All that is said of a finished run. */
export function report(machine: Machine, lines: readonly Line[], { runs, sizes, warmUps, profile }: Options): string {
  const text = [machineText(machine, runs)];
  if (sizes !== FULL_SIZE && JSON.stringify(sizes) !== JSON.stringify(FULL_SIZE)) {
    text.push("This is not the whole benchmark: its sizes were scaled.");
  }
  if (warmUps > 0) text.push(`Every engine had warmed up: ${warmUps} times.`);
  if (profile !== undefined) text.push("The profiler ran: these times are not comparable.");
  for (const [workload, ofWorkload] of Map.groupBy(lines, (line) => line.workload)) {
    text.push(`${title(workload, sizes)}\n${table(ofWorkload)}`);
  }
  text.push(LEGEND, verdict(lines));
  return `${text.join("\n\n")}\n`;
}

const LEGEND = `cpu ms: of the main thread. × fake: in times of fake-indexeddb in the same run. less syncs: after commits × fsync (sqlite) or
commits × round trip (postgres) is taken off; for postgres, in brackets, with commits × durable commit.`;

function title(workload: WorkloadName, { events, rooms, importedKeys, trackedUsers, records }: Sizes): string {
  const titles: Record<WorkloadName, string> = {
    encrypt: `encrypt: ${events} messages in one room`,
    decrypt: `decrypt: ${events} messages in one room`,
    share: `share: a room key in each of ${rooms} rooms, and the answer to each request`,
    receive: `receive: one sync that brings ${rooms} room keys`,
    import: `import: ${importedKeys} room keys`,
    open: `open: a device that tracks ${trackedUsers} users`,
    puts: `puts: ${records} records in one transaction`,
    gets: `gets: ${records} records in one transaction`,
    "gets-apart": `gets-apart: ${records} records, each in a transaction of its own`,
    "get-all": `get-all: ${records} records by one getAll()`,
    cursor: `cursor: over ${records} records`,
    "index-scan": `index-scan: a cursor over ${records} entries of an index`,
  };
  return titles[workload];
}

function machineText({ fsyncMs, roundTripMs, durableCommitMs }: Machine, runs: number): string {
  const parts = [`fsync ${fsyncMs.toFixed(3)} ms`];
  if (!Number.isNaN(roundTripMs)) {
    parts.push(`PostgreSQL round trip ${roundTripMs.toFixed(3)} ms`, `durable commit ${durableCommitMs.toFixed(3)} ms`);
  }
  return `Medians of ${runs} interleaved runs. This machine: ${parts.join(", ")}.`;
}

function table(lines: readonly Line[]): string {
  const rows = [HEADINGS, ...lines.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const last = HEADINGS.length - 1;
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 || column === last ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .map((row) => `  ${row}`)
    .join("\n");
}

function cells(line: Line): string[] {
  const less = ratio(line.lessDurabilityPerFakeIndexedDB);
  const brackets = line.lessDurableCommitsPerFakeIndexedDB;
  return [
    line.engine,
    milliseconds(line.ms),
    `${milliseconds(line.leastMs)}–${milliseconds(line.mostMs)}`,
    milliseconds(line.cpuMs),
    String(line.calls),
    String(line.commits),
    line.statements === null ? "" : String(line.statements),
    ratio(line.perFakeIndexedDB),
    ratio(line.perInMemory),
    brackets === null ? less : `${less} (${ratio(brackets)})`,
    line.targets.map(outcomeText).join("; "),
  ];
}

function milliseconds(ms: number): string {
  return ms.toFixed(ms < 100 ? 1 : 0);
}

function ratio(value: number | null): string {
  return value === null ? "" : value.toFixed(2);
}

function outcomeText({ reckoning, atMost, reached }: Outcome): string {
  const what = { measured: "", "less durability": "less syncs ", statements: "statements per record " }[reckoning];
  return `${what}≤ ${atMost}: ${reached ? "reached" : "MISSED"}`;
}

function verdict(lines: readonly Line[]): string {
  const all = lines.flatMap((line) => line.targets.map((target) => ({ line, target })));
  const missed = all.filter(({ target }) => !target.reached);
  if (all.length === 0) return "No target was judged.";
  if (missed.length === 0) return `All ${all.length} targets were reached.`;
  const list = missed.map(({ line, target }) => {
    const { reckoning, atMost, found } = target;
    return `  ${line.workload} on ${line.engine}, ${reckoning}: ${found.toFixed(3)}, to be at most ${atMost}`;
  });
  return `${missed.length} of ${all.length} targets were MISSED:\n${list.join("\n")}`;
}
