import { parseArgs } from "node:util";

/** What `pnpm chaos` was asked for. */
export interface Options {
  /** How many rounds in all; `undefined`: as many as there is time for. */
  readonly rounds: number | undefined;
  /** How long to go on with new rounds, in minutes; `undefined`: until the rounds are over. */
  readonly minutes: number | undefined;
  /** Default: both, one after the other. */
  readonly stores: readonly ("sqlite" | "postgres")[];
  readonly seed: number;
  /** Where the report goes. */
  readonly json: string | undefined;
  /** The mutants to run in place of random damage. */
  readonly mutant: string | undefined;
}

export const USAGE = `pnpm chaos [--rounds N] [--minutes M] [--store postgres|sqlite] [--seed S] [--json FILE] [--mutant NAME|all]

  --rounds   how many rounds of damage on each store; a round is a kill or an outage (default: 100, or what --minutes allows)
  --minutes  how long to go on in all; without --rounds and --mutant this is a short run of everything, some mutants included
  --store    one store only (default: both)
  --seed     makes the damage repeatable, as far as processes are (default: from the clock)
  --json     where the report is written
  --mutant   removes a safeguard, to see that this is found out; all: each of them`;

/** @throws Error that says what is wrong with the arguments */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    // pnpm passes the dashes on that part its own arguments from those of the script.
    args: args.filter((argument) => argument !== "--"),
    options: {
      rounds: { type: "string" },
      minutes: { type: "string" },
      store: { type: "string" },
      seed: { type: "string" },
      json: { type: "string" },
      mutant: { type: "string" },
    },
  });
  const { store, json, mutant } = values;
  if (store !== undefined && store !== "sqlite" && store !== "postgres")
    throw new Error("--store is postgres or sqlite");
  const minutes = number("minutes", values.minutes);
  const rounds = number("rounds", values.rounds) ?? (minutes === undefined ? 100 : undefined);
  const seed = number("seed", values.seed) ?? Date.now() % 2 ** 31;
  return { rounds, minutes, stores: store === undefined ? ["sqlite", "postgres"] : [store], seed, json, mutant };
}

function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} is a number above 0`);
  return value;
}
