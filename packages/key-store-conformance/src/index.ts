import type { KeyStoreOptions } from "@holdfast/key-store-core";
import { argumentTests } from "./arguments.ts";
import { availabilityTests } from "./availability.ts";
import { batchFailureTests } from "./batch-failures.ts";
import { batchTests } from "./batches.ts";
import { commitTests } from "./commits.ts";
import { deviceTests } from "./devices.ts";
import { fencingTests } from "./fencing.ts";
import { leaseTests } from "./leases.ts";
import { lifecycleTests } from "./lifecycle.ts";
import { moveConflictTests } from "./move-conflicts.ts";
import { moveCutTests } from "./move-cuts.ts";
import { moveTests } from "./moves.ts";
import { programTests } from "./programs.ts";
import { rangeTests } from "./ranges.ts";
import { readFailureTests } from "./reads.ts";
import { recordTests } from "./records.ts";
import { rollbackTests } from "./rollbacks.ts";
import { collector } from "./scene.ts";
import { sizeTests } from "./sizes.ts";
import { statsTests } from "./stats.ts";
import type { ConformancePlace, ConformanceSubject, ConformanceTest } from "./subject.ts";
import { uncertainTests } from "./uncertain.ts";

export type {
  ConformanceCapability,
  ConformancePlace,
  ConformanceSubject,
  ConformanceTest,
  HeldCommits,
} from "./subject.ts";

/**
 * The tests that every key store passes: the contract of `KeyStore`,
 * `DeviceStore` and `KeyStoreDriver`, for any test runner.
 *
 * ```ts fragment
 * for (const test of keyStoreConformance(subject)) it(test.name, test.run, test.timeoutMs);
 * ```
 *
 * Each test asks the subject for a place of its own and frees it.
 *
 * @param options for every store that the suite opens, such as `cacheBytes`;
 * a test that is about an option sets that one itself.
 */
export function keyStoreConformance<Place extends ConformancePlace>(
  subject: ConformanceSubject<Place>,
  options: KeyStoreOptions = {},
): ConformanceTest[] {
  const { tests, define } = collector(subject, options);
  availabilityTests(define);
  argumentTests(define);
  recordTests(define);
  rangeTests(define);
  commitTests(define);
  batchTests(define);
  batchFailureTests(define);
  programTests(define);
  leaseTests(define);
  fencingTests(define);
  uncertainTests(define);
  readFailureTests(define);
  lifecycleTests(define);
  deviceTests(define);
  rollbackTests(define);
  moveTests(define);
  moveConflictTests(define);
  moveCutTests(define);
  statsTests(define);
  sizeTests(define);
  return tests;
}
