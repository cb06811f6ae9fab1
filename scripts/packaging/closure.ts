import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Manifest, manifestOf, type Published } from "./published.ts";

/** What only some packages may bring into a program, and which these are. */
const ONLY_WITH: Readonly<Record<string, readonly string[]>> = {
  postgres: ["@holdfast/key-store-postgres"],
  "kysely-postgres-js": ["@holdfast/key-store-postgres"],
  "better-sqlite3": ["@holdfast/key-store-sqlite"],
  kysely: ["@holdfast/key-store-postgres", "@holdfast/key-store-sqlite"],
  "fast-check": ["@holdfast/key-store-conformance"],
  "@matrix-org/matrix-sdk-crypto-wasm": ["@holdfast/client"],
};

/** Everything that an installation of a package brings, itself left out, by name and version. */
export function closureOf({ folder }: Published): Manifest[] {
  const found = new Map<string, Manifest>();
  const look = (from: string): void => {
    const { dependencies = {}, optionalDependencies = {} } = manifestOf(from);
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const at = resolve(name, from);
      if (at === undefined) {
        // What is optional may have no build for this machine.
        if (name in optionalDependencies) continue;
        throw new Error(`${from} depends on ${name}, which is not installed`);
      }
      const manifest = manifestOf(at);
      const key = `${manifest.name}@${manifest.version}`;
      if (found.has(key)) continue;
      found.set(key, manifest);
      look(at);
    }
  };
  look(folder);
  return [...found.values()];
}

/** Where a package that another one imports is installed, as Node.js looks for it. */
function resolve(name: string, from: string): string | undefined {
  for (let folder = realpathSync(from); ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate);
    if (folder === dirname(folder)) return undefined;
  }
}

/** Which drivers a package brings that are not its own. */
export function closureProblems({ manifest }: Published, closure: readonly Manifest[]): string[] {
  const foreign = closure.filter(({ name }) => ONLY_WITH[name]?.includes(manifest.name) === false);
  return foreign.map(({ name }) => `it brings ${name}, which is for ${ONLY_WITH[name]?.join(" and ")} alone`);
}
