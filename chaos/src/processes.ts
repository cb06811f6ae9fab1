import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Life, Order, Told } from "./protocol.ts";

/** How a process ended. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Events {
  told: [Told];
  end: [End];
}

/** A process with one client in it, which may be dead. */
export class Process extends EventEmitter<Events> {
  readonly ended: Promise<End>;
  readonly #child: ChildProcess;
  /** What it has told, by name: how often. */
  readonly #told = new Map<Told["told"], number>();
  isOver = false;
  /** Whether it is meant to end. */
  condemned = false;
  /** Whether another process was told to take its device. */
  replaced = false;
  life: Life | undefined;

  constructor(logFile: number, environment: NodeJS.ProcessEnv, preload: string | undefined) {
    super();
    this.setMaxListeners(0);
    this.#child = fork(fileURLToPath(new URL("./child/main.ts", import.meta.url)), [], {
      env: { PATH: process.env.PATH, ...environment },
      execArgv: preload === undefined ? [] : ["--import", preload],
      stdio: ["ignore", logFile, logFile, "ipc"],
    });
    this.#child.on("message", (told: Told) => {
      this.#told.set(told.told, (this.#told.get(told.told) ?? 0) + 1);
      this.emit("told", told);
    });
    // What a process wrote before it died arrives before its channel ends.
    const gone = Promise.all([once(this.#child, "exit"), once(this.#child, "disconnect")]);
    this.ended = gone.then(([[code, signal]]) => {
      const end = { code: code as number | null, signal: signal as NodeJS.Signals | null };
      this.isOver = true;
      this.emit("end", end);
      return end;
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  send(order: Order): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  live(life: Life): void {
    this.life = life;
    this.send({ order: "live", life });
  }

  /** SIGKILL, SIGSTOP or SIGCONT. */
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    if (signal === "SIGKILL") this.condemned = true;
    if (!this.isOver) this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }

  /** Whether it has told something at least once. */
  hasTold(told: Told["told"]): boolean {
    return this.#told.has(told);
  }

  /** The next thing of a name that it tells; `undefined` where it ends, or the time is over, before. */
  async next<Name extends Told["told"]>(
    name: Name,
    limitMs: number,
    is: (told: Extract<Told, { told: Name }>) => boolean = () => true,
  ): Promise<Extract<Told, { told: Name }> | undefined> {
    if (this.isOver) return undefined;
    const { promise, resolve } = Promise.withResolvers<Extract<Told, { told: Name }> | undefined>();
    const timer = setTimeout(() => resolve(undefined), limitMs);
    const listener = (told: Told): void => {
      if (told.told === name && is(told as Extract<Told, { told: Name }>))
        resolve(told as Extract<Told, { told: Name }>);
    };
    const end = (): void => resolve(undefined);
    this.on("told", listener);
    this.on("end", end);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.off("told", listener);
      this.off("end", end);
    }
  }

  /** Resolves when it has told something, now or before; false where it ends, or the time is over, before. */
  async until(name: Told["told"], limitMs: number): Promise<boolean> {
    return this.hasTold(name) || (await this.next(name, limitMs)) !== undefined;
  }
}

/** Where processes come from: some are loaded ahead, because loading takes longer than all else. */
export class Nursery implements AsyncDisposable {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #preload: string | undefined;
  readonly #log: number;
  readonly #spares: Process[] = [];
  readonly #all = new Set<Process>();
  readonly #size: number;
  #closed = false;

  constructor(options: {
    readonly size: number;
    readonly logFile: string;
    readonly cache: string;
    readonly mutant?: string | undefined;
  }) {
    this.#size = options.size;
    this.#log = openSync(options.logFile, "a");
    this.#environment = { NODE_COMPILE_CACHE: options.cache, CHAOS_MUTANT: options.mutant };
    this.#preload = options.mutant === undefined ? undefined : new URL("./mutants/preload.ts", import.meta.url).href;
    this.#fill();
  }

  /** A process that is loaded. */
  async take(): Promise<Process> {
    const spare = this.#spares.shift() ?? this.#make();
    this.#fill();
    if (!(await spare.until("loaded", 60_000))) throw new Error("a process did not load: see the log");
    return spare;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#all].map((child) => child.kill()));
  }

  #fill(): void {
    while (!this.#closed && this.#spares.length < this.#size) this.#spares.push(this.#make());
  }

  #make(): Process {
    const child = new Process(this.#log, this.#environment, this.#preload);
    this.#all.add(child);
    void child.ended.then(() => this.#all.delete(child));
    return child;
  }
}
