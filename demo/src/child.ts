import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { ChildEvent, Reply, Request } from "./commands.ts";

/** How a child is started. */
export interface ChildOptions {
  /** The module that it runs. */
  readonly entry: URL;
  /** Where it runs, and the only place that it knows on the disk. */
  readonly directory: string;
  /** Its whole environment besides `PATH`. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly onEvent?: (event: ChildEvent) => void;
}

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** How long a child may take for one command. */
const COMMAND_LIMIT_MS = 30_000;

type Handler = (...parameters: never[]) => Promise<unknown>;

/** A process of its own that takes commands. */
export class Child<Commands extends { readonly [K in keyof Commands]: Handler }> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #exit: Promise<NodeJS.Signals | number | null>;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: ChildEvent) => void>();
  #calls = 0;

  constructor({ entry, directory, environment, onEvent }: ChildOptions) {
    this.#process = fork(fileURLToPath(entry), {
      cwd: directory,
      env: { PATH: process.env.PATH, HOME: directory, TMPDIR: directory, ...environment },
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    if (onEvent !== undefined) this.#listeners.add(onEvent);
    this.#process.on("message", (reply: Reply) => this.#take(reply));
    this.#exit = once(this.#process, "exit").then(([code, signal]) => (signal ?? code) as NodeJS.Signals | number);
    const kill = (): boolean => this.#process.kill("SIGKILL");
    // Before anybody else's listener: what those tidy up must not be used any more.
    process.prependListener("exit", kill);
    void this.#exit.then((how) => {
      process.removeListener("exit", kill);
      for (const { reject } of this.#pending.values())
        reject(new Error(`${basename(entry.pathname)} ended with ${how}`));
      this.#pending.clear();
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Calls a command; `onProgress` is told how far it is, where it says so. */
  async call<K extends keyof Commands & string>(
    command: K,
    parameters: Parameters<Commands[K]>,
    onProgress?: (done: number) => void,
  ): Promise<Awaited<ReturnType<Commands[K]>>> {
    this.#calls += 1;
    const request: Request = { id: this.#calls, command, parameters };
    const listener = (event: ChildEvent): void => {
      if (event.event === "progress") onProgress?.(event.done);
    };
    this.#listeners.add(listener);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const late = new Error(`${command} has not answered for ${COMMAND_LIMIT_MS / 1_000} s`);
    const timer = setTimeout(() => reject(late), COMMAND_LIMIT_MS);
    this.#pending.set(request.id, { resolve, reject });
    this.#process.send(request, (error) => error && reject(error));
    try {
      return (await promise) as Awaited<ReturnType<Commands[K]>>;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(request.id);
      this.#listeners.delete(listener);
    }
  }

  /** The next event of a kind. */
  next<E extends ChildEvent["event"]>(kind: E): Promise<Extract<ChildEvent, { event: E }>> {
    return new Promise((resolve) => {
      const listener = (event: ChildEvent): void => {
        if (event.event !== kind) return;
        this.#listeners.delete(listener);
        resolve(event as Extract<ChildEvent, { event: E }>);
      };
      this.#listeners.add(listener);
    });
  }

  /** Kills the process without warning; answers with how it ended. */
  kill(): Promise<NodeJS.Signals | number | null> {
    this.#process.kill("SIGKILL");
    return this.#exit;
  }

  /** Lets the process end by itself, and ends it where it does not. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 5_000);
    await this.#exit;
    clearTimeout(timer);
  }

  #take(reply: Reply): void {
    if ("event" in reply) {
      for (const listener of this.#listeners) listener(reply);
    } else if ("failure" in reply) {
      this.#pending.get(reply.id)?.reject(new Error(reply.failure));
    } else {
      this.#pending.get(reply.id)?.resolve(reply.result);
    }
  }
}
