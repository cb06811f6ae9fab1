/** The stores that the suite can be run on. */
export const STORES = ["memory", "sqlite", "postgres"] as const;

export type StoreName = (typeof STORES)[number];

/** Where a process that runs one file finds what it needs. */
export interface FileRun {
  /** The suite's folder, absolute. */
  readonly suite: string;
  /** The folder of `testharness.js`, absolute. */
  readonly harness: string;
  /** The test file, in the suite's folder of converted tests. */
  readonly file: string;
  readonly store: StoreName;
  /** A new database for this file; only for PostgreSQL. */
  readonly url: string | undefined;
}

/** One subtest, as the harness tells it. */
export interface Subtest {
  readonly name: string;
  readonly status: "pass" | "fail" | "timeout" | "not run" | "precondition failed";
  /** Why it did not pass. */
  readonly message: string | null;
}

/** What a process says, once, when its file is done. */
export interface FileResult {
  readonly subtests: readonly Subtest[];
  /** What went wrong with the file as a whole; null where nothing did. */
  readonly trouble: string | null;
}
