import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { STORES, type StoreName } from "./protocol.ts";

export const USAGE = `pnpm wpt --suite DIR --harness DIR [options]

Runs the W3C's tests of IndexedDB and prints how many subtests pass, and which do not.

  --suite DIR     the tests as the fake-indexeddb repository converts them for Node.js:
                  its folder src/test/web-platform-tests
  --harness DIR   the suite's own testharness.js: the folder "resources" of the web-platform-tests
                  repository, or "testharness" of the npm package wpt-runner
  --store NAME    ${STORES.join(", ")}; default memory. PostgreSQL is started for it
  --only TEXT     only the files whose names contain this
  --json FILE     writes the result of every subtest to a file too
  --jobs N        so many files at a time, each in a process of its own; default 2
  --help`;

export interface Options {
  /** Absolute. */
  readonly suite: string;
  /** Absolute. */
  readonly harness: string;
  readonly store: StoreName;
  readonly only: string;
  readonly json: string | undefined;
  readonly jobs: number;
}

/** The options of the command line, undefined where help is asked for; throws for what cannot be meant. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    // pnpm passes on the two dashes that end its own options.
    args: args.filter((arg) => arg !== "--"),
    options: {
      suite: { type: "string" },
      harness: { type: "string" },
      store: { type: "string", default: "memory" },
      only: { type: "string", default: "" },
      json: { type: "string" },
      jobs: { type: "string", default: "2" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs is a whole number, not "${values.jobs}"`);
  const store = STORES.find((name) => name === values.store);
  if (store === undefined) throw new Error(`--store is one of ${STORES.join(", ")}, not "${values.store}"`);
  return {
    suite: folderWith("--suite", values.suite, "converted"),
    harness: folderWith("--harness", values.harness, "testharness.js"),
    store,
    only: values.only,
    json: values.json === undefined ? undefined : resolve(values.json),
    jobs,
  };
}

function folderWith(option: string, folder: string | undefined, content: string): string {
  if (folder === undefined) throw new Error(`${option} is needed`);
  const path = resolve(folder);
  if (statSync(join(path, content), { throwIfNoEntry: false }) === undefined) {
    throw new Error(`${option}: there is no "${content}" in ${path}`);
  }
  return path;
}
