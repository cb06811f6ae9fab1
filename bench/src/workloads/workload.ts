import type { Task } from "../protocol.ts";
import type { Scene } from "./scene.ts";

/** What a workload has prepared; only `run` is timed. */
export interface Prepared {
  /** Calls of the crypto engine that `run` makes. */
  readonly calls: number;
  /** The timed part: engine calls, each awaited before the next. */
  run(): Promise<void>;
  /** Throws unless `run` has done what it was to do. */
  check(): Promise<void>;
}

export type Workload = (scene: Scene, task: Task) => Promise<Prepared>;

/** Throws unless the two are equal: a measurement of something else than it says is worth nothing. */
export function expectEqual<T extends string | number>(what: string, found: T, expected: T): void {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`);
}
