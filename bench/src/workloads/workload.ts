import type { TaskSurroundings } from "../protocol.ts";

/** What a workload has prepared; only `run` is timed. */
export interface Prepared {
  /** Calls of the crypto engine, or requests of IndexedDB, that `run` makes. */
  readonly calls: number;
  /** The timed part. */
  run(): Promise<void>;
  /** Throws unless `run` has done what it was to do. */
  check(): Promise<void>;
}

/** Makes ready, untimed, what is measured, on what the workloads of a process share. */
export type Workload<Scene> = (scene: Scene, task: TaskSurroundings) => Promise<Prepared>;

/** Throws unless the two are equal: a measurement of something else than it says is worth nothing. */
export function expectEqual<T extends string | number>(what: string, found: T, expected: T): void {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`);
}
