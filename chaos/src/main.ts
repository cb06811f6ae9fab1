/** `pnpm chaos`: see the README of this folder. */
import { writeFile } from "node:fs/promises";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { lineOf, type Report, summaryOf } from "./report.ts";
import { run } from "./run.ts";
import { startDatabase } from "./world.ts";

function say(line: string): void {
  console.log(line);
}

async function chaos({ stores, seed, rounds = Number.POSITIVE_INFINITY, minutes }: Options): Promise<Report> {
  const began = performance.now();
  const budgetMs = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * 60_000;
  const runs: Report["runs"][number][] = [];
  for (const [index, store] of stores.entries()) {
    await using database = store === "postgres" ? await startDatabase() : undefined;
    const until = began + (budgetMs * (index + 1)) / stores.length;
    const report = await run({ store, seed, rounds, until, database, say });
    say(lineOf(report));
    runs.push(report);
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
