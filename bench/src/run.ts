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

/** How long one child may take. */
const CHILD_TIMEOUT_MS = 300_000;

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
 * Measures everything that is asked for. Runs are interleaved, and the order
 * of the engines changes from run to run, so that a machine which is slow for a
 * while is slow for all.
 */
export async function measureAll(options: Options, progress: (line: string) => void): Promise<Figures> {
  const { runs, workloads, engines } = options;
  await using cleanup = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  await requireDisk(directory);
  if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });
  const server = engines.includes("postgres") ? cleanup.use(await DatabaseServer.start()) : undefined;
  const exportedKeysFile = join(directory, "exported-keys.json");
  const machine = new MachineFigures();
  const series = workloads.flatMap((workload) =>
    engines
      .filter((engine) => canRun(workload, engine))
      .map((engine): Series => ({ workload, engine, measurements: [] })),
  );

  for (let run = 0; run < runs; run += 1) {
    await writeFile(exportedKeysFile, JSON.stringify(exportedRoomKeys(options.sizes.importedKeys)));
    if (server === undefined) await machine.measure(directory, undefined);
    else await server.withDatabase(({ url }) => machine.measure(directory, url));
    for (const [index, { workload, engine, measurements }] of inOrderOf(run, series).entries()) {
      progress(`run ${run + 1} of ${runs}: ${index + 1} of ${series.length}, ${workload} on ${engine}`);
      const own = join(directory, "child");
      await mkdir(own);
      const profile = options.profile && join(options.profile, `${workload}-${engine}-${run + 1}.cpuprofile`);
      const task: Task = { workload, engine, sizes: options.sizes, directory: own, exportedKeysFile, profile };
      const needsDatabase = engine === "postgres" && server !== undefined;
      measurements.push(
        needsDatabase
          ? await server.withDatabase((postgres) => measureInChild({ ...task, postgres }))
          : await measureInChild(task),
      );
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

/** The workloads in their order, each with its engines in an order that every run begins elsewhere. */
function inOrderOf(run: number, series: readonly Series[]): Series[] {
  const byWorkload = Map.groupBy(series, ({ workload }) => workload);
  return [...byWorkload.values()].flatMap((engines) => {
    const first = run % engines.length;
    return [...engines.slice(first), ...engines.slice(0, first)];
  });
}

async function measureInChild(task: Task): Promise<Measurement> {
  const child = fork(new URL("./child.ts", import.meta.url), [JSON.stringify(task)], {
    execArgv: ["--expose-gc"],
    // A program's own log lines would be lost among the figures; what goes wrong is not.
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), CHILD_TIMEOUT_MS);
  let reply: Reply | undefined;
  child.on("message", (message) => {
    reply = message as Reply;
  });
  const [code, signal] = await once(child, "exit");
  clearTimeout(timer);
  if (reply !== undefined && "measurement" in reply) return reply.measurement;
  throw new Error(
    `${task.workload} on ${task.engine}: ${reply?.failure ?? `the process ended with ${signal ?? code}`}`,
  );
}
