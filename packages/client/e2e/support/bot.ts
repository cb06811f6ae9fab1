import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Stage } from "./stage.ts";

const EXAMPLES = new URL("../../../../examples/", import.meta.url);

/** Where the examples are. */
export const exampleFile = (path: string): string => fileURLToPath(new URL(path, EXAMPLES));

/** A program that has nothing but its environment. */
export class Bot {
  readonly lines: string[] = [];
  readonly ended: Promise<number | null>;
  readonly #process: ChildProcess;
  readonly #changed = new EventEmitter().setMaxListeners(0);

  constructor(stage: Stage, file: string, env: Readonly<Record<string, string>>) {
    const { PATH = "" } = process.env;
    this.#process = spawn(process.execPath, [file], { env: { PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.lines.push(...text.split("\n").filter((line) => line !== ""));
        this.#changed.emit("changed");
      });
    }
    this.ended = once(this.#process, "exit").then(([code]) => code as number | null);
    stage.onEnd(() => this.end("SIGKILL"));
  }

  /** Resolves when it has said this. @throws Error where it ends before */
  async says(text: string): Promise<void> {
    const ended = this.ended.then(() => Promise.reject(new Error(`it has ended: ${this.lines.join("\n")}`)));
    ended.catch(() => {});
    while (!this.lines.some((line) => line.includes(text))) await Promise.race([once(this.#changed, "changed"), ended]);
  }

  /** Ends it by a signal; answers with its exit code, `null` where the signal was what ended it. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<number | null> {
    this.#process.kill(signal);
    return this.ended;
  }
}
