/** Runs one file of the suite in this process, on a new store, and says what came of it. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { runInThisContext } from "node:vm";
import { createIndexedDB, install } from "../src/index.ts";
import { openStore } from "./open-store.ts";
import type { FileResult, FileRun, Subtest } from "./protocol.ts";
import { makeDocument, makeWindow } from "./window.ts";

/** As the harness numbers them. */
const STATUSES: readonly Subtest["status"][] = ["pass", "fail", "timeout", "not run", "precondition failed"];

/** What `testharness.js` puts on the global object, as far as it is used here. */
interface Harness {
  add_result_callback(callback: (test: { name: string; status: number; message: string | null }) => void): void;
  add_completion_callback(callback: (tests: unknown, status: { status: number; message: string | null }) => void): void;
}

const run = JSON.parse(process.argv[2] ?? "") as FileRun;
const { suite, harness, file } = run;
const subtests: Subtest[] = [];
const uncaught: string[] = [];

function end(trouble: string | null): void {
  const result: FileResult = { subtests, trouble };
  process.send?.(result, undefined, undefined, () => process.exit(0));
}

function runScript(path: string): void {
  // The tests are classic scripts; the imports were added for another way of running them.
  const code = readFileSync(path, "utf8").replace(/^import .*$/gm, "");
  runInThisContext(code, { filename: path });
}

install(globalThis, createIndexedDB(await openStore(run)));
makeWindow((error) => uncaught.push(error instanceof Error ? (error.stack ?? error.message) : String(error)));
runScript(join(harness, "testharness.js"));
const { add_result_callback, add_completion_callback } = globalThis as unknown as Harness;
add_result_callback(({ name, status, message }) => {
  subtests.push({ name, status: STATUSES[status] ?? "fail", message });
});
add_completion_callback((_tests, { status, message }) => {
  // A harness that ended well has seen to all exceptions: some tests throw them on purpose.
  end(status === 0 ? null : [`the harness says: ${message}`, ...uncaught].join("\n"));
});
if (file.includes("idlharness")) {
  const fetched = (path: string) => readFileSync(join(suite, "idlharness", basename(path)), "utf8");
  globalThis.fetch = async (path) => new Response(fetched(String(path)));
  runScript(join(harness, "webidl2/lib/webidl2.js"));
  runScript(join(harness, "idlharness.js"));
}
makeDocument();
runScript(join(suite, "converted", file));
