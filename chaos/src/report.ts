import type { Violation } from "./ledger.ts";

/** What became of a run of random damage. */
export interface RunReport {
  readonly kind: "run";
  readonly store: string;
  readonly seed: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly kills: number;
  readonly outages: number;
  /** How often each kind of damage was done. */
  readonly damages: Readonly<Record<string, number>>;
  readonly messages: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  /** Where the logs of the processes are; only where something was violated. */
  readonly logs: string | undefined;
}

/** All that was run. */
export interface Report {
  readonly seed: number;
  readonly runs: readonly RunReport[];
}

/** The figures of a report, named as vitest names those of its own. */
export interface Summary {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}

/** Each run counts as one: it passed if nothing was violated. */
export function summaryOf({ runs }: Report): Summary {
  const failed = runs.filter(({ violations }) => violations.length > 0).length;
  return {
    numPassedTests: runs.length - failed,
    numFailedTests: failed,
    numFailedTestSuites: 0,
    numPendingTests: 0,
    numTodoTests: 0,
  };
}

/** A run, for people. */
export function lineOf({ store, seed, seconds, kills, outages, messages, violations, logs }: RunReport): string {
  const figures = `${kills} kills, ${outages} outages, ${messages.acknowledged} messages acknowledged, ${messages.commits} commits, ${messages.claims} one-time keys claimed`;
  const head = `${store}, seed ${seed}: ${figures} in ${seconds} s`;
  if (violations.length === 0) return `${head}; nothing was violated`;
  const lines = violations
    .slice(0, 20)
    .map(({ kind, member, detail, round }) => `  round ${round}, ${member}: ${kind}: ${detail}`);
  return [`${head}; VIOLATED, the logs are in ${logs}:`, ...lines].join("\n");
}
