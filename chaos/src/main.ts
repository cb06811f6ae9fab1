/** `pnpm chaos`: see the README of this folder. */
import { writeFile } from "node:fs/promises";
import { control, hunt } from "./mutants/hunt.ts";
import { type Mutant, mutantsNamed } from "./mutants/mutants.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { lineOf, type Report, summaryOf } from "./report.ts";
import { run } from "./run.ts";
import { startDatabase } from "./world.ts";

/** Of a short run of everything, the part that is random damage. */
const SHARE_OF_DAMAGE = 0.4;
/** The mutants in a short run: those that are found out soon. */
const IN_SHORT = ["guard-epoch", "identity-check"];

function say(line: string): void {
  console.log(line);
}

/** Random damage on each store. */
async function damage(
  options: Options,
  budgetMs: number,
  keep: (report: Report["runs"][number]) => void,
): Promise<void> {
  const began = performance.now();
  const { stores, seed, rounds = Number.POSITIVE_INFINITY } = options;
  for (const [index, store] of stores.entries()) {
    await using database = store === "postgres" ? await startDatabase() : undefined;
    const until = began + (budgetMs * (index + 1)) / stores.length;
    keep(await run({ store, seed, rounds, until, database, say }));
  }
}

/** Every scenario as it must be, then what mutants make of theirs. */
async function mutants(
  named: readonly Mutant[],
  { stores }: Options,
  keep: (report: Report["runs"][number]) => void,
): Promise<void> {
  for (const store of stores) {
    await using database = store === "postgres" ? await startDatabase() : undefined;
    if (named.length > 1) keep(await control(store, database));
    for (const mutant of named) if (mutant.stores.includes(store)) keep(await hunt(mutant, store, database));
  }
}

async function chaos(options: Options): Promise<Report> {
  const { seed, minutes, mutant, rounds } = options;
  const runs: Report["runs"][number][] = [];
  const keep = (report: Report["runs"][number]): void => {
    say(lineOf(report));
    runs.push(report);
  };
  const budgetMs = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * 60_000;
  if (mutant !== undefined) {
    await mutants(mutantsNamed(mutant), options, keep);
  } else if (rounds === undefined) {
    await damage(options, budgetMs * SHARE_OF_DAMAGE, keep);
    await mutants(IN_SHORT.flatMap(mutantsNamed), { ...options, stores: ["sqlite"] }, keep);
  } else {
    await damage(options, budgetMs, keep);
  }
  return { seed, runs };
}

if (process.argv.includes("--help")) {
  say(USAGE);
  process.exit(0);
}
let options: Options;
try {
  options = parseOptions(process.argv.slice(2));
  if (options.mutant !== undefined) mutantsNamed(options.mutant);
} catch (error) {
  console.error(`${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
say(`seed ${options.seed}`);
const report = await chaos(options);
const summary = summaryOf(report);
if (options.json !== undefined)
  await writeFile(options.json, `${JSON.stringify({ ...summary, ...report }, undefined, 2)}\n`);
say(`${summary.numPassedTests} passed, ${summary.numFailedTests} failed`);
process.exitCode = summary.numFailedTests > 0 ? 1 : 0;
