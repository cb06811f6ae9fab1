import { writeFile } from "node:fs/promises";
import { type Options, options, USAGE } from "./options.ts";
import { measureAll } from "./run.ts";
import { summary } from "./summary.ts";
import { report } from "./table.ts";

/** One line that is written over where somebody watches, and a line each where nobody does. */
function progress(line: string): void {
  const { stderr } = process;
  if (stderr.isTTY) stderr.write(`\r\x1b[2K${line}`);
  else if (line !== "") stderr.write(`${line}\n`);
}

async function bench(chosen: Options): Promise<void> {
  const figures = await measureAll(chosen, progress);
  const lines = summary(figures, chosen.sizes);
  process.stdout.write(report(figures.machine, lines, chosen));
  if (chosen.json === undefined) return;
  const { runs, sizes, warmUps } = chosen;
  await writeFile(
    chosen.json,
    `${JSON.stringify({ machine: figures.machine, runs, sizes, warmUps, lines }, undefined, 2)}\n`,
  );
}

let chosen: Options;
try {
  chosen = options(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${USAGE}\n`);
  process.exit(2);
}
if (chosen.help) process.stdout.write(`${USAGE}\n`);
else await bench(chosen);
