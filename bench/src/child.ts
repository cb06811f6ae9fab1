/** A child process: one workload on one engine, once. Its task comes as its argument, its answer goes to the parent. */
import { writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { subjectOf } from "./engines/index.ts";
import type { Measurement, Reply, Task } from "./protocol.ts";
import { workloads } from "./workloads/index.ts";
import type { Prepared } from "./workloads/workload.ts";

async function measure(task: Task): Promise<Measurement> {
  await using subject = await subjectOf(task);
  const prepared = await workloads[task.workload](subject, task);
  const before = { commits: await subject.commits(), statements: await subject.statements() };
  // What the set-up left behind is not the workload's to clear away.
  globalThis.gc?.();
  await eventLoopTurn();
  const ms = await timed(prepared, task.profile);
  const after = { commits: await subject.commits(), statements: await subject.statements() };
  await prepared.finish();
  return {
    ms,
    calls: prepared.calls,
    commits: after.commits - before.commits,
    statements:
      before.statements === undefined || after.statements === undefined
        ? undefined
        : after.statements - before.statements,
  };
}

async function timed(prepared: Prepared, profile: string | undefined): Promise<number> {
  const stopProfile = profile === undefined ? undefined : await startProfile(profile);
  const began = performance.now();
  await prepared.run();
  const ms = performance.now() - began;
  await stopProfile?.();
  return ms;
}

/** Profiles until the function that it answers with is called, which writes the profile. */
async function startProfile(file: string): Promise<() => Promise<void>> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  return async () => {
    const { profile } = await session.post("Profiler.stop");
    await writeFile(file, JSON.stringify(profile));
    session.disconnect();
  };
}

async function answer(): Promise<Reply> {
  try {
    return { measurement: await measure(JSON.parse(process.argv[2] ?? "")) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

process.send?.(await answer());
// The engine's timers may still be pending: the answer is all that is wanted of this process.
process.disconnect();
