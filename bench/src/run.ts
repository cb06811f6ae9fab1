import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseServer } from "./database-server.ts";
import { type Machine, MachineFigures, requireDisk } from "./machine.ts";
import { exportedRoomKeys } from "./matrix/exported-keys.ts";
import type { Options } from "./options.ts";
import {
  CRYPTO_WORKLOADS,
  type EngineName,
  INDEXEDDB_WORKLOADS,
  type Measurement,
  type Reply,
  type Task,
  type TaskWorkloads,
  type WorkloadName,
} from "./protocol.ts";

/** How long one child may take: all workloads of a kind on one engine. */
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
 * process to itself for each kind of workload, and the order of the engines
 * changes from run to run, so that a machine which is slow for a while is slow
 * for all. What the machine's
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
      for (const part of partsOf(workloads, engine)) {
        progress(`run ${run + 1} of ${runs}: this machine`);
        if (server === undefined) await machine.measure(directory, undefined);
        else await server.withDatabase(({ url }) => machine.measure(directory, url));
        const own = join(directory, "child");
        await mkdir(own);
        const profiles = options.profile && join(options.profile, `${engine}-${run + 1}`);
        if (profiles !== undefined) await mkdir(profiles, { recursive: true });
        const { warmUps } = options;
        const task: Task = { ...part, engine, sizes, warmUps, directory: own, exportedKeysFile, profiles };
        const keep = (workload: WorkloadName, measurement: Measurement): void => {
          progress(`run ${run + 1} of ${runs}: ${workload} on ${engine}`);
          series.find((one) => one.workload === workload && one.engine === engine)?.measurements.push(measurement);
        };
        if (engine !== "postgres" || server === undefined) await measureInChild(task, keep);
        else await server.withDatabase((postgres) => measureInChild({ ...task, postgres }, keep));
        await rm(own, { recursive: true });
      }
    }
  }
  progress("");
  return { machine: machine.medians, series };
}

/** The crypto engine's own memory is no IndexedDB, and gone when it closes: there is no device in it to open again. */
function canRun(workload: WorkloadName, engine: EngineName): boolean {
  return engine !== "in-memory" || (workload !== "open" && !isAmong(INDEXEDDB_WORKLOADS, workload));
}

/** What is to be measured on an engine, by processes. */
function partsOf(workloads: readonly WorkloadName[], engine: EngineName): TaskWorkloads[] {
  const mine = workloads.filter((workload) => canRun(workload, engine));
  const crypto = mine.filter((workload) => isAmong(CRYPTO_WORKLOADS, workload));
  const indexeddb = mine.filter((workload) => isAmong(INDEXEDDB_WORKLOADS, workload));
  const parts: TaskWorkloads[] = [
    { kind: "crypto", workloads: crypto },
    { kind: "indexeddb", workloads: indexeddb },
  ];
  return parts.filter((part) => part.workloads.length > 0);
}

function isAmong<Name extends WorkloadName>(names: readonly Name[], name: WorkloadName): name is Name {
  return (names as readonly WorkloadName[]).includes(name);
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
  const waiting = new Set<WorkloadName>(task.workloads);
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
