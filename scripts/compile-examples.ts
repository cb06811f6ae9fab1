/**
 * Compiles every TypeScript example in the documents and in doc comments, as a
 * reader would who copies it into a file of the workspace.
 *
 * A block that is only a fragment says so by its fence: ```ts fragment.
 */
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const ROOT = join(import.meta.dirname, "..");
/** The package that sees all others: examples are compiled where they resolve what a user has installed. */
const HOME = "packages/client";
/** Packages whose documents show more than that has. */
const OTHER_HOMES = ["packages/indexeddb"];

interface Example {
  readonly from: string;
  readonly code: string;
}

/** The fenced blocks of a text, each with the line that it starts on. */
function blocksOf(text: string, file: string): Example[] {
  const blocks = text.matchAll(/^( *)```ts\n([\s\S]*?)^\1```/gm);
  return Array.from(blocks, ({ index, 2: code = "" }) => {
    const line = text.slice(0, index).split("\n").length;
    return { from: `${relative(ROOT, file)}:${line}`, code };
  });
}

/** The doc comments of a source file as plain text, line for line. */
function commentsOf(source: string): string {
  let inside = false;
  const lines = source.split("\n").map((line) => {
    if (line.trimStart().startsWith("/**")) inside = true;
    const text = inside ? line.replace(/^\s*(\/\*\*|\*\/|\*) ?/, "") : "";
    if (line.includes("*/")) inside = false;
    return text;
  });
  return lines.join("\n");
}

const ignored = { exclude: ["**/node_modules/**", "**/dist/**", "**/.tmp/**"] };
const documents = globSync("**/*.md", { cwd: ROOT, ...ignored }).map((file) => join(ROOT, file));
const sources = globSync("packages/*/src/**/*.ts", { cwd: ROOT, ...ignored }).map((file) => join(ROOT, file));
const examples = [
  ...documents.flatMap((file) => blocksOf(readFileSync(file, "utf8"), file)),
  ...sources.flatMap((file) => blocksOf(commentsOf(readFileSync(file, "utf8")), file)),
];
if (examples.length === 0) throw new Error("no example was found: the documents must have some");

let failed = false;
for (const home of [HOME, ...OTHER_HOMES]) {
  const own = examples.filter(({ from }) => homeOf(from) === home);
  if (!compile(join(ROOT, home, ".tmp/examples"), own)) failed = true;
}
if (failed) process.exit(1);
console.log(`${examples.length} examples compile`);

function homeOf(from: string): string {
  return OTHER_HOMES.find((home) => from.startsWith(`${home}/`)) ?? HOME;
}

/** Compiles examples in a folder; says which they are where one does not compile. */
function compile(folder: string, own: readonly Example[]): boolean {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  own.forEach(({ from, code }, index) => {
    writeFileSync(join(folder, `example-${index}.ts`), `// ${from}\n${code}\nexport {};\n`);
  });
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: relative(folder, join(ROOT, "tsconfig.base.json")),
      compilerOptions: { noEmit: true, noUnusedLocals: false, noUnusedParameters: false },
      include: ["*.ts"],
    }),
  );
  try {
    execFileSync("tsc", ["-p", folder], { stdio: "inherit" });
    return true;
  } catch {
    console.error(own.map(({ from }, index) => `example-${index}.ts is ${from}`).join("\n"));
    return false;
  }
}
