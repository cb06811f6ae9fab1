import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const PROGRAM = fileURLToPath(new URL("child.ts", import.meta.url));

/** A process that runs `child.ts`. It is killed, if it still runs, when the running test is over. */
export class Child {
  readonly process: ChildProcess;
  /** What it has said. */
  readonly said: unknown[] = [];
  readonly ended: Promise<unknown>;
  readonly #waiting: (() => void)[] = [];
  #errors = "";

  constructor(command: string, path: string, argument: number | string = "") {
    this.process = spawn(process.execPath, [PROGRAM, command, path, `${argument}`], { stdio: "pipe" });
    const { stdout, stderr } = this.process;
    if (stdout === null || stderr === null) throw new Error("the child has no pipes");
    createInterface(stdout).on("line", (line) => {
      this.said.push(JSON.parse(line));
      this.#wake();
    });
    stderr.on("data", (text) => {
      this.#errors += text;
    });
    this.ended = once(this.process, "close").finally(() => this.#wake());
    onTestFinished(() => this.kill());
  }

  /** Resolves when it has said something `count` times, with the last; rejects where it ends before. */
  async says(count = 1): Promise<unknown> {
    while (this.said.length < count) {
      if (this.process.exitCode !== null) throw new Error(`the child ended: ${this.#errors}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.said[count - 1];
  }

  write(text: string): void {
    this.process.stdin?.write(text);
  }

  /** Ends it by SIGKILL. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
