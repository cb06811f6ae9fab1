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

/** What became of all scenarios, one after the other, on the packages as they are. */
export interface ScenariosReport {
  readonly kind: "control";
  readonly store: string;
  readonly seconds: number;
  readonly violations: readonly Violation[];
  readonly logs: string | undefined;
}

/** What became of a mutant. */
export interface MutantReport {
  readonly kind: "mutant";
  readonly name: string;
  readonly removes: string;
  readonly scenario: string;
  readonly store: string;
  readonly seconds: number;
  /** Whether anything was violated: it had to be. */
  readonly caught: boolean;
  /** By which checks. */
  readonly by: readonly string[];
  readonly violations: readonly Violation[];
}

/** All that was run. */
export interface Report {
  readonly seed: number;
  readonly runs: readonly (RunReport | ScenariosReport | MutantReport)[];
}

/** Whether it came out as it must. */
function passed(report: RunReport | ScenariosReport | MutantReport): boolean {
  return report.kind === "mutant" ? report.caught : report.violations.length === 0;
}

/** The figures of a report, named as vitest names those of its own. */
export interface Summary {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}

/** Each run counts as one: it passed if nothing was violated, and a mutant if something was. */
export function summaryOf({ runs }: Report): Summary {
  const failed = runs.filter((report) => !passed(report)).length;
  return {
    numPassedTests: runs.length - failed,
    numFailedTests: failed,
    numFailedTestSuites: 0,
    numPendingTests: 0,
    numTodoTests: 0,
  };
}

/** A run, for people. */
export function lineOf(report: RunReport | ScenariosReport | MutantReport): string {
  const { store, seconds, violations } = report;
  if (report.kind === "mutant") {
    const { name, removes, caught, by } = report;
    return `${store}, mutant ${name} (without ${removes}): ${caught ? `caught: ${by.join("; ")}` : "NOT CAUGHT"}, in ${seconds} s`;
  }
  const head = `${store}, ${report.kind === "run" ? figuresOf(report) : "all scenarios"} in ${seconds} s`;
  if (violations.length === 0) return `${head}; nothing was violated`;
  const lines = violations
    .slice(0, 20)
    .map(({ kind, member, detail, round }) => `  round ${round}, ${member}: ${kind}: ${detail}`);
  return [`${head}; VIOLATED, the logs are in ${report.logs}:`, ...lines].join("\n");
}

function figuresOf({ seed, kills, outages, messages }: RunReport): string {
  return `seed ${seed}: ${kills} kills, ${outages} outages, ${messages.acknowledged} messages acknowledged, ${messages.commits} commits, ${messages.claims} one-time keys claimed`;
}
