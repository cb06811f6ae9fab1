import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where a command runs, and with which variables beside those of this process. */
export interface CommandOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs a command to its end and answers with what it wrote to its standard
 * output. What package managers tell their children by variables is left out:
 * it speaks of the workspace.
 *
 * @throws Error with all that it wrote, where it fails.
 */
export async function command(file: string, args: readonly string[], options: CommandOptions): Promise<string> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|pnpm_|vitest|node_env$|init_cwd$)/i.test(name),
  );
  const env = { ...Object.fromEntries(inherited), CI: "true", ...options.env };
  try {
    const { stdout } = await run(file, args, { cwd: options.cwd, env, maxBuffer: 1 << 26 });
    return stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${file} ${args.join(" ")} failed in ${options.cwd}\n${stdout}\n${stderr}`, { cause: error });
  }
}
