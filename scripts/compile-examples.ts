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
/** Inside the package that sees all others, so that the examples resolve what a user has installed. */
const OUT = join(ROOT, "packages/client/.tmp/examples");

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

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
examples.forEach(({ from, code }, index) => {
  writeFileSync(join(OUT, `example-${index}.ts`), `// ${from}\n${code}\nexport {};\n`);
});
writeFileSync(
  join(OUT, "tsconfig.json"),
  JSON.stringify({
    extends: relative(OUT, join(ROOT, "tsconfig.base.json")),
    compilerOptions: { noEmit: true, noUnusedLocals: false, noUnusedParameters: false },
    include: ["*.ts"],
  }),
);
try {
  execFileSync("tsc", ["-p", OUT], { stdio: "inherit" });
} catch {
  console.error(examples.map(({ from }, index) => `example-${index}.ts is ${from}`).join("\n"));
  process.exit(1);
}
console.log(`${examples.length} examples compile`);
