import { CRYPTO_WORKLOADS, type EngineName, INDEXEDDB_WORKLOADS, type Sizes, type WorkloadName } from "./protocol.ts";

/**
 * What a target is about:
 * - `"measured"`: the time, in times of `fake-indexeddb`'s
 * - `"less durability"`: the same, after what durability costs on this machine
 *   whoever provides it is taken off: a commit is one fsync on SQLite and one
 *   round trip on PostgreSQL
 * - `"statements"`: what PostgreSQL ran, in times of the records that the workload is about
 */
type Reckoning = "measured" | "less durability" | "statements";

export interface Target {
  readonly engine: EngineName;
  readonly workloads: readonly WorkloadName[];
  readonly reckoning: Reckoning;
  readonly atMost: number;
}

const COMPARED = CRYPTO_WORKLOADS.filter((name) => name !== "open");

/** Every target there is. */
export const TARGETS: readonly Target[] = [
  { engine: "memory", workloads: COMPARED, reckoning: "measured", atMost: 0.8 },
  { engine: "sqlite", workloads: COMPARED, reckoning: "less durability", atMost: 1 },
  { engine: "sqlite", workloads: ["decrypt", "receive"], reckoning: "measured", atMost: 1 },
  { engine: "sqlite", workloads: ["import"], reckoning: "measured", atMost: 0.25 },
  { engine: "postgres", workloads: COMPARED, reckoning: "less durability", atMost: 1.5 },
  { engine: "postgres", workloads: ["import"], reckoning: "measured", atMost: 0.25 },
  { engine: "postgres", workloads: ["import", "open"], reckoning: "statements", atMost: 0.05 },
  { engine: "memory", workloads: INDEXEDDB_WORKLOADS, reckoning: "measured", atMost: 1 },
  { engine: "sqlite", workloads: INDEXEDDB_WORKLOADS, reckoning: "measured", atMost: 1.5 },
];

/** Of how many records a workload is, for targets on statements. */
export function recordsOf(workload: WorkloadName, sizes: Sizes): number {
  if (workload === "import") return sizes.importedKeys;
  if (workload === "open") return sizes.trackedUsers;
  if (workload === "share" || workload === "receive") return sizes.rooms;
  return workload === "encrypt" || workload === "decrypt" ? sizes.events : sizes.records;
}
