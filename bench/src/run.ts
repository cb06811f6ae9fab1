import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseServer } from "./database-server.ts";
import { type Machine, MachineFigures, requireDisk } from "./machine.ts";
import { exportedRoomKeys } from "./matrix/exported-keys.ts";
import type { Options } from "./options.ts";
import type { EngineName, Measurement, Reply, Task, WorkloadName } from "./protocol.ts";

/** How long one child may take: all workloads on one engine. */
const CHILD_TIMEOUT_MS = 600_000;

/** All measurements of one workload on one engine, in the order of the runs. */
export interface Series {
  readonly workload: WorkloadName;
  readonly engine: EngineName;
  readonly measurements: Measurement[];
}

export interface Figures {
  readonly machine: Machine;
  readonly series: readonly Series[];
}

/**
 * Measures everything that is asked for. In every run each engine has a
 * process to itself, and the order of the engines changes from run to run, so
 * that a machine which is slow for a while is slow for all. What the machine's
 * disk and network cost is measured again before each of these processes.
 */
export async function measureAll(options: Options, progress: (line: string) => void): Promise<Figures> {
  const { runs, workloads, engines, sizes } = options;
  await using cleanup = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  await requireDisk(directory);
  const server = engines.includes("postgres") ? cleanup.use(await DatabaseServer.start()) : undefined;
  const exportedKeysFile = join(directory, "exported-keys.json");
  const machine = new MachineFigures();
  const series = workloads.flatMap((workload) =>
    engines
      .filter((engine) => canRun(workload, engine))
      .map((engine): Series => ({ workload, engine, measurements: [] })),
  );

  for (let run = 0; run < runs; run += 1) {
    await writeFile(exportedKeysFile, JSON.stringify(exportedRoomKeys(sizes.importedKeys)));
    for (const engine of beginningWith(run, engines)) {
      progress(`run ${run + 1} of ${runs}: this machine`);
      if (server === undefined) await machine.measure(directory, undefined);
      else await server.withDatabase(({ url }) => machine.measure(directory, url));
      const own = join(directory, "child");
      await mkdir(own);
      const profiles = options.profile && join(options.profile, `${engine}-${run + 1}`);
      if (profiles !== undefined) await mkdir(profiles, { recursive: true });
      const task: Task = {
        engine,
        workloads: workloads.filter((workload) => canRun(workload, engine)),
        sizes,
        warmUps: options.warmUps,
        directory: own,
        exportedKeysFile,
        profiles,
      };
      const keep = (workload: WorkloadName, measurement: Measurement): void => {
        progress(`run ${run + 1} of ${runs}: ${workload} on ${engine}`);
        series.find((one) => one.workload === workload && one.engine === engine)?.measurements.push(measurement);
      };
      if (engine !== "postgres" || server === undefined) await measureInChild(task, keep);
      else await server.withDatabase((postgres) => measureInChild({ ...task, postgres }, keep));
      await rm(own, { recursive: true });
    }
  }
  progress("");
  return { machine: machine.medians, series };
}

/** The engine's own memory is gone when it closes: there is no device in it to open again. */
function canRun(workload: WorkloadName, engine: EngineName): boolean {
  return workload !== "open" || engine !== "in-memory";
}

/** The same, beginning elsewhere in every run. */
function beginningWith<T>(run: number, items: readonly T[]): T[] {
  const first = run % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

async function measureInChild(
  task: Task,
  keep: (workload: WorkloadName, measurement: Measurement) => void,
): Promise<void> {
  const child = fork(new URL("./child.ts", import.meta.url), [JSON.stringify(task)], {
    execArgv: ["--expose-gc"],
    // A program's own log lines would be lost among the figures; what goes wrong is not.
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), CHILD_TIMEOUT_MS);
  const waiting = new Set(task.workloads);
  let failure: string | undefined;
  child.on("message", (message) => {
    const reply = message as Reply;
    if ("failure" in reply) {
      failure = reply.failure;
      return;
    }
    waiting.delete(reply.workload);
    keep(reply.workload, reply.measurement);
  });
  const [code, signal] = await once(child, "exit");
  clearTimeout(timer);
  const [missing] = waiting;
  if (failure === undefined && missing === undefined) return;
  throw new Error(`${missing} on ${task.engine}: ${failure ?? `the process ended with ${signal ?? code}`}`);
}
