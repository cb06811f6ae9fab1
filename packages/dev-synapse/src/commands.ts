import { spawn } from "node:child_process";

/** What a command left behind. */
export interface Outcome {
  /** `undefined` where the command is not there, or was ended by a signal. */
  readonly status: number | undefined;
  readonly output: string;
  readonly errors: string;
}

/** How a command is to run. */
export interface CommandOptions {
  readonly input?: Uint8Array | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** In milliseconds. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
}

/** Runs a command to its end; never throws. */
export function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  const { input, env, timeoutMs = 10_000 } = options;
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "pipe", timeout: timeoutMs, ...(env && { env }) });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    child.once("error", (error) => resolve({ status: undefined, output, errors: errors + error.message }));
    child.once("close", (status) => resolve({ status: status ?? undefined, output, errors }));
    // A command that does not read its input closes it early.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/** As `run`, with an error for every status but 0. */
export async function mustRun(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { status, output, errors } = await run(command, args, options);
  if (status === 0) return output;
  const last = `${output}\n${errors}`.trim().split("\n").slice(-20).join("\n");
  throw new Error(`${command} ${args.join(" ")} ended with ${status ?? "a signal, or could not be started"}:\n${last}`);
}
