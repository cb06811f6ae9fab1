import { resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  CRYPTO_WORKLOADS,
  ENGINES,
  type EngineName,
  FULL_SIZE,
  INDEXEDDB_WORKLOADS,
  type Sizes,
  WORKLOADS,
  type WorkloadName,
} from "./protocol.ts";

export const USAGE = `pnpm bench [options]

  --json FILE     writes the figures to a file too
  --runs N        takes the medians of N runs; default 5
  --only NAMES    only these workloads and engines, separated by commas
                  workloads: ${CRYPTO_WORKLOADS.join(", ")},
                  ${INDEXEDDB_WORKLOADS.join(", ")}
                  engines: ${ENGINES.join(", ")}
  --warm-ups N    runs encrypt, decrypt, share and receive N times untimed first, as if the program had
                  run for a while; default 0, a program that has just started
  --scale F       that many times the usual number of everything, to develop with; default 1
  --profile DIR   writes a CPU profile of every timed part; the times are then not comparable
  --help`;

export interface Options {
  readonly json: string | undefined;
  readonly runs: number;
  readonly workloads: readonly WorkloadName[];
  readonly engines: readonly EngineName[];
  readonly sizes: Sizes;
  readonly warmUps: number;
  /** Where profiles go; absolute. */
  readonly profile: string | undefined;
  readonly help: boolean;
}

/** The options of the command line; throws for what cannot be meant. */
export function options(args: readonly string[]): Options {
  const { values } = parseArgs({
    // pnpm passes on the two dashes that end its own options.
    args: args.filter((arg) => arg !== "--"),
    options: {
      json: { type: "string" },
      runs: { type: "string", default: "5" },
      only: { type: "string", default: "" },
      "warm-ups": { type: "string", default: "0" },
      scale: { type: "string", default: "1" },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  return {
    ...only(values.only),
    json: values.json === undefined ? undefined : fromWhereTheUserIs(values.json),
    runs: wholeNumber("--runs", values.runs, 1),
    warmUps: wholeNumber("--warm-ups", values["warm-ups"], 0),
    sizes: scaled(Number(values.scale)),
    profile: values.profile === undefined ? undefined : fromWhereTheUserIs(values.profile),
    help: values.help,
  };
}

/** pnpm runs a script in its package's folder, and says where it was called. */
function fromWhereTheUserIs(path: string): string {
  return resolve(process.env.INIT_CWD ?? "", path);
}

function only(list: string): Pick<Options, "workloads" | "engines"> {
  const names = new Set(list.split(",").filter((name) => name !== ""));
  const among = <Name extends string>(all: readonly Name[]): readonly Name[] => {
    const named = all.filter((name) => names.has(name));
    for (const name of named) names.delete(name);
    return named.length === 0 ? all : named;
  };
  const chosen = { workloads: among(WORKLOADS), engines: among(ENGINES) };
  if (names.size > 0) throw new Error(`--only does not know ${[...names].join(", ")}`);
  return chosen;
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new Error(`${name} takes a whole number from ${least}`);
  return value;
}

function scaled(scale: number): Sizes {
  if (!(scale > 0 && scale <= 100)) throw new Error("--scale takes a number above 0");
  const times = (count: number): number => Math.max(1, Math.round(count * scale));
  return {
    events: times(FULL_SIZE.events),
    rooms: times(FULL_SIZE.rooms),
    importedKeys: times(FULL_SIZE.importedKeys),
    trackedUsers: times(FULL_SIZE.trackedUsers),
    records: times(FULL_SIZE.records),
  };
}
