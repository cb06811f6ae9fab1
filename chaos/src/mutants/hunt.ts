import type { MutantReport, ScenariosReport } from "../report.ts";
import { SCENARIOS, type ScenarioName } from "../scenarios/index.ts";
import { type Database, World } from "../world.ts";
import type { Mutant } from "./mutants.ts";

type Store = "sqlite" | "postgres";

/** How long a world is given to come to rest: what a mutant has lost does not come. */
const REST_MS = 15_000;

function worldOf(store: Store, database: Database | undefined, mutant?: string): Promise<World> {
  return World.start({ store, members: 3, spares: 1, pauseMs: 200, rotation: 1, restMs: REST_MS, database, mutant });
}

/** Runs every scenario on the packages as they are: nothing may be violated. */
export async function control(store: Store, database: Database | undefined): Promise<ScenariosReport> {
  const began = performance.now();
  const world = await worldOf(store, database);
  const { violations } = world.ledger;
  try {
    for (const name of Object.keys(SCENARIOS) as ScenarioName[]) {
      await SCENARIOS[name](world);
      if (violations.length > 0) break;
    }
    for (const { process } of world.members) process.condemned = true;
  } finally {
    await world.end(violations.length > 0);
  }
  const logs = violations.length > 0 ? world.directory : undefined;
  return { kind: "control", store, seconds: Math.round((performance.now() - began) / 1_000), violations, logs };
}

/** Runs the scenario of a mutant: something must be violated. */
export async function hunt(mutant: Mutant, store: Store, database: Database | undefined): Promise<MutantReport> {
  const began = performance.now();
  const world = await worldOf(store, database, mutant.name);
  const { violations } = world.ledger;
  try {
    await SCENARIOS[mutant.scenario](world);
    for (const { process } of world.members) process.condemned = true;
  } finally {
    await world.end(false);
  }
  const { name, removes, scenario } = mutant;
  const seconds = Math.round((performance.now() - began) / 1_000);
  const kinds = [...new Set(violations.map(({ kind }) => kind))];
  return {
    kind: "mutant",
    name,
    removes,
    scenario,
    store,
    seconds,
    caught: violations.length > 0,
    by: kinds,
    violations,
  };
}
