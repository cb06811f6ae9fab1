/** Runs the W3C's tests of IndexedDB, each file in a process of its own, and prints what does not pass. */
import { fork } from "node:child_process";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startPostgres } from "@holdfast/dev-postgres";
import { type Options, parseOptions, USAGE } from "./options.ts";
import type { FileResult, FileRun, Subtest } from "./protocol.ts";

/** How long one file may take. The harness gives up before, by a limit of its own. */
const FILE_LIMIT_MS = 90_000;

/** The test files, without those that the suite's owners marked as not meant for Node.js: they need frames and origins. */
function filesOf({ suite, only }: Options): string[] {
  const files = globSync("**/*.js", { cwd: join(suite, "converted"), exclude: ["resources/**"] });
  return files.filter((file) => file.includes(only) && !isSkipped(suite, file)).sort();
}

function isSkipped(suite: string, file: string): boolean {
  const manifest = join(suite, "manifests", file.replace(/\.js$/, ".toml"));
  return existsSync(manifest) && /^skip = true/m.test(readFileSync(manifest, "utf8"));
}

function runFile(run: FileRun): Promise<FileResult> {
  const child = fork(join(import.meta.dirname, "run-file.ts"), [JSON.stringify(run)], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  let errors = "";
  child.stderr?.on("data", (text) => {
    errors += text;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), FILE_LIMIT_MS);
  let result: FileResult | undefined;
  child.on("message", (message) => {
    result = message as FileResult;
  });
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve(result ?? { subtests: [], trouble: `the process ended by itself (${code})\n${errors.slice(0, 2_000)}` });
    });
  });
}

/** What a database for each file comes from. */
async function databases({ store }: Options): Promise<AsyncDisposable & { create(): Promise<string | undefined> }> {
  if (store !== "postgres") return { create: async () => undefined, [Symbol.asyncDispose]: async () => {} };
  const server = await startPostgres();
  return { create: () => server.createDatabase(), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function runAll(options: Options): Promise<Map<string, FileResult>> {
  const { suite, harness, store } = options;
  await using source = await databases(options);
  const files = filesOf(options);
  const results = new Map<string, FileResult>(files.map((file) => [file, { subtests: [], trouble: null }]));
  const work = async (): Promise<void> => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      results.set(file, await runFile({ suite, harness, file, store, url: await source.create() }));
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, work));
  return results;
}

/** Prints the failures and the sum; whether there was anything to run. */
function print(results: ReadonlyMap<string, FileResult>, { store }: Options): boolean {
  const all: Subtest[] = [];
  for (const [file, { subtests, trouble }] of results) {
    all.push(...subtests);
    const failed = subtests.filter(({ status }) => status !== "pass");
    if (failed.length === 0 && trouble === null) continue;
    console.log(`${file}: ${subtests.length - failed.length} of ${subtests.length}`);
    for (const { name, status, message } of failed) console.log(`  ${status}: ${name}: ${message}`);
    if (trouble !== null) console.log(`  ${trouble}`);
  }
  const passed = all.filter(({ status }) => status === "pass").length;
  const share = ((100 * passed) / all.length).toFixed(2);
  console.log(`${passed} of ${all.length} subtests pass on ${store} (${share}%), in ${results.size} files`);
  return all.length > 0;
}

const options = parseOptions(process.argv.slice(2));
if (options === undefined) console.log(USAGE);
else {
  const results = await runAll(options);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(Object.fromEntries(results), undefined, 2)}\n`);
  }
  if (!print(results, options)) process.exitCode = 1;
}
