import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const PACKAGES = join(import.meta.dirname, "../packages");

/** What each published package may import of the others: the arrows of ARCHITECTURE.md, none of which points up. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "key-store-core": [],
  "key-store-move": ["key-store-core"],
  "key-store-conformance": ["key-store-core", "key-store-move"],
  "key-store-memory": ["key-store-core"],
  "key-store-sqlite": ["key-store-core"],
  "key-store-postgres": ["key-store-core"],
  indexeddb: ["key-store-core"],
  client: [
    "indexeddb",
    "key-store-core",
    "key-store-memory",
    "key-store-move",
    "key-store-postgres",
    "key-store-sqlite",
  ],
};

/** What only one layer knows: databases are the adapters', the crypto engine is the client's. */
const ONLY_IN: Readonly<Record<string, readonly string[]>> = {
  postgres: ["key-store-postgres"],
  "kysely-postgres-js": ["key-store-postgres"],
  "better-sqlite3": ["key-store-sqlite"],
  kysely: ["key-store-postgres", "key-store-sqlite"],
  "@matrix-org/matrix-sdk-crypto-wasm": ["client"],
};

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
}

const manifest = (folder: string): Manifest => JSON.parse(readFileSync(join(PACKAGES, folder, "package.json"), "utf8"));

const published = readdirSync(PACKAGES).filter((folder) => !manifest(folder).private);

/** Every module that the sources of a package name in an import, an export, an `import()` or the type of one. */
function importsOf(folder: string): string[] {
  const root = join(PACKAGES, folder, "src");
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  return sources.flatMap((file) => {
    const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), "utf8"), true, true);
    return importedFiles.map(({ fileName }) => fileName);
  });
}

const packageOf = (specifier: string) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

describe("the layers", () => {
  it("are those of ARCHITECTURE.md: every published package has a place", () => {
    expect(published.sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });

  it.each(published)("no import of %s points up", (folder) => {
    const ours = importsOf(folder).filter((specifier) => specifier.startsWith("@holdfast/"));
    const allowed = MAY_IMPORT[folder]?.map((name) => `@holdfast/${name}`);
    for (const specifier of ours) expect(allowed).toContain(packageOf(specifier));
  });

  it.each(published)("%s knows no engine that is another layer's", (folder) => {
    for (const specifier of importsOf(folder).map(packageOf)) {
      const owners = ONLY_IN[specifier];
      if (owners !== undefined) expect(owners).toContain(folder);
    }
  });

  it.each(published)("%s declares what it imports, and imports what it declares", (folder) => {
    const { dependencies = {}, peerDependencies = {} } = manifest(folder);
    const declared = Object.keys({ ...dependencies, ...peerDependencies }).sort();
    const imported = importsOf(folder).filter((specifier) => !/^(\.|node:)/.test(specifier));
    expect([...new Set(imported.map(packageOf))].sort()).toEqual(declared);
  });

  it("finds the imports that it is to judge", () => {
    expect(importsOf("client")).toEqual(
      expect.arrayContaining([
        "@holdfast/key-store-core",
        "@holdfast/key-store-postgres",
        "@holdfast/key-store-sqlite",
        "@matrix-org/matrix-sdk-crypto-wasm",
        "node:crypto",
      ]),
    );
  });
});
