import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { ENGINES, type EngineName, FULL_SIZE, type Sizes, WORKLOADS, type WorkloadName } from "./protocol.ts";

export const USAGE = `pnpm bench [options]

  --json FILE     writes the figures to a file too
  --runs N        takes the medians of N runs; default 5
  --only NAMES    only these workloads and engines, separated by commas
                  workloads: ${WORKLOADS.join(", ")}
                  engines: ${ENGINES.join(", ")}
  --scale F       that many times the usual number of everything, to develop with; default 1
  --profile DIR   writes a CPU profile of every timed part; the times are then not comparable
  --help`;

export interface Options {
  readonly json: string | undefined;
  readonly runs: number;
  readonly workloads: readonly WorkloadName[];
  readonly engines: readonly EngineName[];
  readonly sizes: Sizes;
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
      scale: { type: "string", default: "1" },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error("--runs takes a whole number from 1");
  return {
    ...only(values.only),
    json: values.json === undefined ? undefined : fromWhereTheUserIs(values.json),
    runs,
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

function scaled(scale: number): Sizes {
  if (!(scale > 0 && scale <= 100)) throw new Error("--scale takes a number above 0");
  const times = (count: number): number => Math.max(1, Math.round(count * scale));
  return {
    events: times(FULL_SIZE.events),
    rooms: times(FULL_SIZE.rooms),
    importedKeys: times(FULL_SIZE.importedKeys),
    trackedUsers: times(FULL_SIZE.trackedUsers),
  };
}
