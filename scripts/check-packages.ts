/**
 * Checks every package as it would go to a registry: what is in it and what it
 * weighs, its entry points and types, what an installation of it brings, and
 * the licences of that. The packages must have been built.
 *
 * With `--write` the list of licences is written, not compared.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closureOf, closureProblems } from "./packaging/closure.ts";
import { contentProblems } from "./packaging/contents.ts";
import { licenceList, licenceProblems } from "./packaging/licences.ts";
import { publintProblems, typeProblems } from "./packaging/linters.ts";
import { type Manifest, pack, publishedPackages, ROOT } from "./packaging/published.ts";

const LICENCES = join(ROOT, "docs/licences.md");

const destination = mkdtempSync(join(tmpdir(), "holdfast-packed-"));
const closures = new Map<string, readonly Manifest[]>();
let failed = false;

function report(name: string, problems: readonly string[]): void {
  if (problems.length > 0) failed = true;
  for (const problem of problems) console.error(`${name}: ${problem}`);
}

try {
  for (const one of publishedPackages()) {
    const { name } = one.manifest;
    const packed = pack(one, destination);
    const closure = closureOf(one);
    closures.set(name, closure);
    report(name, [
      ...contentProblems(one, packed),
      ...closureProblems(one, closure),
      ...licenceProblems(closure),
      ...(await publintProblems(packed)),
      ...(await typeProblems(packed)),
    ]);
    console.log(`${name}: ${(packed.size / 1000).toFixed(1)} kB packed, brings ${closure.length} packages`);
  }
} finally {
  rmSync(destination, { recursive: true, force: true });
}

const list = licenceList(closures);
if (process.argv.includes("--write")) writeFileSync(LICENCES, list);
else if (readFileSync(LICENCES, "utf8") !== list) {
  report("docs/licences.md", ["it is not what is installed: run node scripts/check-packages.ts --write"]);
}
if (failed) process.exit(1);
