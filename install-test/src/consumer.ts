import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import ts from "typescript";
import { command } from "./command.ts";

/** Who installs. */
export type Manager = "npm" | "pnpm";

/** How a program asks for its packages. */
export type Modules = "esm" | "commonjs";

/** How TypeScript looks for them. */
export type Resolution = "nodenext" | "bundler";

/** Where consumers live, and the registry that they install from. */
export interface Market {
  /** A directory that no workspace is above of. */
  readonly directory: string;
  readonly npmrc: string;
}

/** The Node.js that programs run on: `HOLDFAST_TEST_NODE`, or the one that runs this. */
const NODE = process.env.HOLDFAST_TEST_NODE ?? process.execPath;

const PROGRAMS = join(import.meta.dirname, "../programs");

/** A folder of somebody who has never seen the workspace. */
export class Consumer {
  readonly directory: string;
  readonly #manager: Manager;
  readonly #market: Market;

  constructor(market: Market, manager: Manager, name: string) {
    this.#market = market;
    this.#manager = manager;
    this.directory = join(market.directory, `${manager}-${name}`);
  }

  /** Installs packages, given as `name@version`, into the folder, which is made where it is missing. */
  async install(packages: readonly string[]): Promise<void> {
    const { directory } = this;
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, ".npmrc"), this.#market.npmrc);
    if (this.#manager === "npm") {
      if (!existsSync(join(directory, "package.json"))) {
        await writeFile(join(directory, "package.json"), '{ "private": true }');
      }
      const cache = join(this.#market.directory, "npm-cache");
      const args = ["install", "--no-audit", "--no-fund", "--cache", cache, ...packages];
      await command("npm", args, { cwd: directory });
      return;
    }
    const store = join(this.#market.directory, "pnpm-store");
    const env = { XDG_CACHE_HOME: join(this.#market.directory, "pnpm-cache") };
    await command("pnpm", ["add", "--store-dir", store, ...packages], { cwd: directory, env });
  }

  /** The version of a package that is installed. */
  async installed(name: string): Promise<string> {
    const manifest = join(this.directory, "node_modules", name, "package.json");
    return JSON.parse(await readFile(manifest, "utf8")).version;
  }

  /** Runs a program of `programs/` and answers with what its `main()` did. */
  async run(program: string, modules: Modules, env: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const source = await readFile(join(PROGRAMS, `${program}.ts`), "utf8");
    const [code, extension, main] =
      modules === "esm"
        ? [stripTypeScriptTypes(source), "mjs", `import { main } from "./${program}.mjs";`]
        : [toCommonJs(source), "cjs", `const { main } = require("./${program}.cjs");`];
    await writeFile(join(this.directory, `${program}.${extension}`), code);
    const launcher = `launch-${program}.${extension}`;
    // matrix-js-sdk leaves timers, so the end of the process is not waited for.
    const end =
      'main().then((answer) => process.stdout.write("\\n" + JSON.stringify(answer) + "\\n", () => process.exit()));';
    await writeFile(join(this.directory, launcher), `${main}\n${end}\n`);
    const said = await command(NODE, [launcher], { cwd: this.directory, env });
    // Libraries log to the standard output; the answer is the last line.
    return JSON.parse(said.trimEnd().split("\n").at(-1) ?? "");
  }

  /** Type-checks a program of `programs/`, declarations of libraries included unless `skipLibCheck`. */
  async typeCheck(program: string, resolution: Resolution, skipLibCheck: boolean): Promise<void> {
    await writeFile(join(this.directory, `${program}.mts`), await readFile(join(PROGRAMS, `${program}.ts`), "utf8"));
    const config = `tsconfig.${resolution}.json`;
    const compilerOptions = {
      target: "es2023",
      lib: ["es2024", "esnext.disposable", ...(skipLibCheck ? ["dom"] : [])],
      types: ["node"],
      module: resolution === "nodenext" ? "nodenext" : "esnext",
      moduleResolution: resolution,
      strict: true,
      noEmit: true,
      skipLibCheck,
    };
    const settings = { compilerOptions, include: [`${program}.mts`] };
    await writeFile(join(this.directory, config), JSON.stringify(settings));
    const tsc = join(this.directory, "node_modules/typescript/bin/tsc");
    await command(process.execPath, [tsc, "-p", config], { cwd: this.directory });
  }
}

function toCommonJs(source: string): string {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023, esModuleInterop: true },
  });
  return outputText;
}
