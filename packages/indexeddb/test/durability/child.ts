import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** What the programs of these tests are started with. */
export interface ChildOptions {
  /** Options of Node.js itself, such as `--expose-gc`. Default: none. */
  readonly nodeOptions?: readonly string[];
}

/**
 * A process of its own, started with one argument in JSON, that says lines of JSON
 * on its fourth descriptor. It is killed, if it still runs, when the running test is over.
 */
export class Child<Said> {
  readonly process: ChildProcess;
  /** Everything that it has said. */
  readonly said: Said[] = [];
  readonly #ended: Promise<unknown>;
  readonly #waiting: (() => void)[] = [];
  #over = false;
  #errors = "";

  constructor(program: URL, argument: unknown, options: ChildOptions = {}) {
    const args = [...(options.nodeOptions ?? []), fileURLToPath(program), JSON.stringify(argument)];
    this.process = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe", "pipe"] });
    const { stderr, stdio } = this.process;
    // What is printed is not listened to: libraries print too.
    createInterface(stdio[3] as Readable).on("line", (line) => {
      this.said.push(JSON.parse(line));
      this.#wake();
    });
    stderr?.on("data", (text) => {
      this.#errors += text;
    });
    // Not before its pipes are read to their end.
    this.#ended = once(this.process, "close").finally(() => {
      this.#over = true;
      this.#wake();
    });
    onTestFinished(() => this.kill());
  }

  /** Resolves with the first thing it says that fits; rejects where it ends before. */
  async says(fits: (said: Said) => boolean = () => true): Promise<Said> {
    for (;;) {
      const found = this.said.find(fits);
      if (found !== undefined) return found;
      if (this.#over) throw new Error(`the child ended, and had said ${JSON.stringify(this.said)}\n${this.#errors}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Ends it by SIGKILL, and waits until everything that it said has been heard. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#ended;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
