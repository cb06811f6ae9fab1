/**
 * A child process: workloads on one engine, one after the other on one device or database.
 * Its task comes as its argument; an answer for each workload goes to the parent.
 */
import { writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { cryptoSubject, indexedDbSubject } from "./engines/index.ts";
import type { Subject } from "./engines/subject.ts";
import { type Reply, type Task, WARMED_UP, type WorkloadName } from "./protocol.ts";
import { cryptoWorkloads } from "./workloads/crypto/index.ts";
import { Scene } from "./workloads/crypto/scene.ts";
import { Database } from "./workloads/indexeddb/database.ts";
import { indexedDbWorkloads } from "./workloads/indexeddb/index.ts";
import type { Prepared } from "./workloads/workload.ts";

async function measure(task: Task): Promise<void> {
  if (task.kind === "crypto") {
    await using subject = await cryptoSubject(task);
    const scene = await Scene.set(subject);
    for (let times = 0; times < task.warmUps; times += 1) {
      for (const workload of WARMED_UP) {
        const prepared = await cryptoWorkloads[workload](scene, task);
        await prepared.run();
        await prepared.check();
      }
    }
    for (const workload of task.workloads) {
      await measureOne(subject, task, workload, await cryptoWorkloads[workload](scene, task));
    }
    await scene.close();
  } else {
    await using subject = await indexedDbSubject(task);
    const database = await Database.create(subject);
    for (const workload of task.workloads) {
      await measureOne(subject, task, workload, await indexedDbWorkloads[workload](database, task));
    }
    await database.close();
  }
}

async function measureOne(
  subject: Subject<unknown>,
  task: Task,
  workload: WorkloadName,
  prepared: Prepared,
): Promise<void> {
  const profile = task.profiles && join(task.profiles, `${workload}.cpuprofile`);
  const before = { commits: await subject.commits(), statements: await subject.statements() };
  // What came before is not the workload's to clear away.
  globalThis.gc?.();
  await eventLoopTurn();
  const stopProfile = profile === undefined ? undefined : await startProfile(profile);
  const cpuBegan = process.threadCpuUsage();
  const began = performance.now();
  await prepared.run();
  const ms = performance.now() - began;
  const { user, system } = process.threadCpuUsage(cpuBegan);
  await stopProfile?.();
  const after = { commits: await subject.commits(), statements: await subject.statements() };
  const commits = after.commits - before.commits;
  const statements =
    before.statements === undefined || after.statements === undefined
      ? undefined
      : after.statements - before.statements;
  await prepared.check();
  const measurement = { ms, cpuMs: (user + system) / 1_000, calls: prepared.calls, commits, statements };
  answer({ workload, measurement });
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

function answer(reply: Reply): void {
  process.send?.(reply);
}

try {
  await measure(JSON.parse(process.argv[2] ?? ""));
} catch (error) {
  answer({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
// What the engine may still wait for is not waited for.
process.disconnect();
