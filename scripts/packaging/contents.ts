import { readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import type { Packed, Published } from "./published.ts";

/** The most that each package may weigh, packed, in bytes of 1,000 to the kB. */
const BUDGET: Readonly<Record<string, number>> = {
  "@holdfast/client": 100_000,
  "@holdfast/indexeddb": 70_000,
  "@holdfast/key-store-conformance": 50_000,
  "@holdfast/key-store-core": 30_000,
  "@holdfast/key-store-memory": 30_000,
  "@holdfast/key-store-move": 20_000,
  "@holdfast/key-store-postgres": 40_000,
  "@holdfast/key-store-sqlite": 30_000,
};

const ALWAYS = ["LICENSE", "README.md", "package.json"];
const BUILT = /^dist\/[\w./-]+\.(js|d\.ts)$/;

/** What is wrong with the weight of a package, or with what is in it. */
export function contentProblems({ folder, manifest }: Published, { files, size }: Packed): string[] {
  const problems: string[] = [];
  const budget = BUDGET[manifest.name];
  if (budget === undefined) problems.push("it has no budget in scripts/packaging/contents.ts");
  else if (size > budget) problems.push(`it weighs ${size} bytes packed, and may weigh ${budget}`);
  for (const file of ALWAYS) if (!files.includes(file)) problems.push(`${file} is missing`);
  for (const file of files) {
    if (ALWAYS.includes(file) || file === "CHANGELOG.md") continue;
    if (!BUILT.test(file)) problems.push(`${file} has no place in it`);
    else if (/(^|[./])tests?[./]/.test(file)) problems.push(`${file} is a test`);
    else problems.push(...missingMap(folder, file, files));
  }
  return problems;
}

/** A map that a file names must be there, and whole. */
function missingMap(folder: string, file: string, files: readonly string[]): string[] {
  const [, map] = /^\/\/# sourceMappingURL=(\S+)\s*$/m.exec(readFileSync(join(folder, file), "utf8")) ?? [];
  if (map === undefined) return [];
  if (!files.includes(posix.join(posix.dirname(file), map))) return [`${file} names a map that is not in it: ${map}`];
  const { sources, sourcesContent } = JSON.parse(readFileSync(join(folder, dirname(file), map), "utf8"));
  return Array.isArray(sourcesContent) && sourcesContent.length === sources.length
    ? []
    : [`${file} has a map to sources that are not in it`];
}
