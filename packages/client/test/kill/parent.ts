import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Life, Told } from "./life.ts";

/** When a process is killed: so many milliseconds after it has acknowledged so many calls. */
export interface Death {
  readonly afterCalls: number;
  readonly thenMs: number;
}

/** What a process told, and how it ended. */
export interface Lived {
  readonly identity: string;
  /** What it read of {@link Life.readable}. */
  readonly texts: readonly string[];
  /** The calls that it acknowledged, in their order. */
  readonly acknowledged: readonly Exclude<Told, { told: "opened" | "done" }>[];
  readonly isDone: boolean;
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** Runs a process of the device to its death; to its end where it has none. */
export async function live(life: Life, death?: Death): Promise<Lived> {
  const child = fork(new URL("./process.ts", import.meta.url), [], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const errors: Buffer[] = [];
  child.stderr?.on("data", (chunk: Buffer) => errors.push(chunk));
  let opened: Extract<Told, { told: "opened" }> | undefined;
  let isDone = false;
  const acknowledged: Lived["acknowledged"][number][] = [];
  child.on("message", (message) => {
    const told = message as Told;
    if (told.told === "opened") opened = told;
    else if (told.told === "done") isDone = true;
    else acknowledged.push(told);
    if (death === undefined || acknowledged.length !== death.afterCalls || told.told === "opened") return;
    // Somewhere inside one of the calls that come next.
    void delay(death.thenMs).then(() => child.kill("SIGKILL"));
  });
  // What a process wrote before it died arrives before its channel ends.
  const ended = Promise.all([once(child, "exit"), once(child, "disconnect")]);
  child.send(life);
  const [[exitCode, signal]] = (await ended) as [[number | null, string | null], unknown];
  if (opened === undefined) throw new Error(`the device was not opened:\n${Buffer.concat(errors)}`);
  const { identity, texts } = opened;
  return { identity, texts, acknowledged, isDone, exitCode, signal };
}
