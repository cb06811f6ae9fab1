import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");

/** Tables of READMEs that list a type as a whole: its properties, or the strings that it is one of. */
const LISTED = [
  { table: "client: option, Options", source: "client/src/matrix-client-options.ts", type: "MatrixClientOptions" },
  {
    table: "client: option, keyStoreFromEnv(env = process.env, options?)",
    source: "client/src/key-store-from-env.ts",
    type: "KeyStoreFromEnvOptions",
  },
  {
    table: "client: answer, keyStoreFromEnv(env = process.env, options?)",
    source: "client/src/key-store-from-env.ts",
    type: "KeyStoreFromEnv",
  },
  {
    table: "client: option, openOlmMachine(options)",
    source: "client/src/engine/open-olm-machine.ts",
    type: "OpenOlmMachineOptions",
  },
  { table: "client: event, Events", source: "client/src/events.ts", type: "MatrixClientEvents" },
  {
    table: "client: mode, Modes and outages",
    source: "client/src/availability/client-mode.ts",
    type: "ClientMode",
  },
  { table: "client: code, Errors", source: "client/src/errors.ts", type: "MatrixClientErrorCode" },
  {
    table: "key-store-conformance: method, The subject",
    source: "key-store-conformance/src/subject.ts",
    type: "ConformanceSubject",
  },
  { table: "key-store-core: code, The contract", source: "key-store-core/src/errors.ts", type: "KeyStoreErrorCode" },
  {
    table: "key-store-core: option, resolveKeyStore(candidates, options?)",
    source: "key-store-core/src/resolver.ts",
    type: "ResolveOptions",
  },
  {
    table: "key-store-memory: option, Options",
    source: "key-store-memory/src/memory-key-store.ts",
    type: "MemoryKeyStoreOptions",
  },
  { table: "key-store-move: option, Options", source: "key-store-move/src/move-device.ts", type: "MoveDeviceOptions" },
  {
    table: "key-store-postgres: option, Options",
    source: "key-store-postgres/src/options.ts",
    type: "PostgresKeyStoreOptions",
  },
  {
    table: "key-store-sqlite: option, Options",
    source: "key-store-sqlite/src/options.ts",
    type: "SqliteKeyStoreOptions",
  },
] as const;

/** The names in the first column of every table in the packages' READMEs, by package, title of that column and heading. */
function tables(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const file of globSync("packages/*/README.md", { cwd: ROOT })) {
    const folder = file.split("/")[1];
    let heading = "";
    let rows: string[] | undefined;
    for (const line of textOf(file).split("\n")) {
      heading = /^#+ (.*)/.exec(line)?.[1]?.replaceAll("`", "") ?? heading;
      const cell = /^\|(.*?)(?<!\\)\|/.exec(line)?.[1]?.trim();
      if (cell === undefined) {
        rows = undefined;
      } else if (rows === undefined) {
        const table = `${folder}: ${cell}, ${heading}`;
        if (cell !== "" && found.has(table)) throw new Error(`two tables are called ${table}`);
        rows = [];
        found.set(table, rows);
      } else {
        rows.push(...Array.from(cell.matchAll(/`(\w+)[^`]*`/g), ([, name = ""]) => name));
      }
    }
  }
  return found;
}

const program = ts.createProgram(
  LISTED.map(({ source }) => join(ROOT, "packages", source)),
  ts.parseJsonConfigFileContent({ extends: "./tsconfig.base.json", files: [] }, ts.sys, ROOT).options,
);

/** The names of a type's properties, those that it inherits included, or the strings that it is one of. */
function membersOf(source: string, name: string): string[] {
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(join(ROOT, "packages", source));
  const declared = file?.statements.find(
    (node) => (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) && node.name.text === name,
  );
  if (declared === undefined) throw new Error(`${source} has no type ${name}`);
  const type = checker.getTypeAtLocation(declared);
  if (!type.isUnion()) return checker.getPropertiesOfType(type).map((property) => property.name);
  return type.types.map((one) => {
    if (one.isStringLiteral()) return one.value;
    throw new Error(`${name} is more than strings: ${checker.typeToString(one)}`);
  });
}

const textOf = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** The packages that a document's `npm install` lines name. */
function installedBy(file: string): string[] {
  const lines = textOf(file).matchAll(/^npm install ([^#\n]*)/gm);
  return Array.from(lines, ([, names = ""]) => names.trim().split(/ +/))
    .flat()
    .filter((name) => !name.startsWith("-"));
}

/** A document's examples, fragments left out. */
function examplesOf(file: string): string[] {
  return Array.from(textOf(file).matchAll(/^ *```ts\n([\s\S]*?)^ *```/gm), ([, code = ""]) => code);
}

/** The packages that a document's examples import. */
function importedBy(file: string): string[] {
  const modules = examplesOf(file).flatMap((code) => ts.preProcessFile(code).importedFiles);
  return modules.filter(({ fileName }) => !fileName.startsWith("node:")).map(({ fileName }) => packageOf(fileName));
}

const packageOf = (specifier: string) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

describe("the examples", () => {
  const guides = ["README.md", ...globSync("docs/*.md", { cwd: ROOT })];
  const documents = [...guides, ...globSync("packages/{client,indexeddb,key-store-*}/README.md", { cwd: ROOT })];

  /** Who reads these parts of that document has the library. */
  const there: Readonly<Record<string, readonly string[]>> = {
    "packages/indexeddb/README.md": ["@matrix-org/matrix-sdk-crypto-wasm", "dexie", "idb", "matrix-js-sdk"],
  };

  // With pnpm a program sees what it has installed by name, and nothing of what came with it.
  it.each(documents)("of %s import nothing that nobody was told to install", (file) => {
    const installed = [...installedBy(file), ...(guides.includes(file) ? installedBy("README.md") : [])];
    const has = [...installed, ...(there[file] ?? [])];
    expect(importedBy(file).filter((name) => !has.includes(name))).toEqual([]);
  });

  // At the top of a module it also ends what it made when the module has run: a bot would close at once.
  it.each(documents.filter((file) => !file.includes("indexeddb")))(
    "of %s are syntax that every Node.js knows which the packages run on",
    (file) => {
      expect(examplesOf(file).filter((code) => /\busing \w+ =/.test(code))).toEqual([]);
    },
  );

  it("are found, with what they import", () => {
    expect(importedBy("README.md")).toEqual(["@holdfast/client", "@holdfast/client"]);
    expect(installedBy("README.md")).toEqual([
      "@holdfast/client",
      "@holdfast/key-store-postgres",
      "@holdfast/key-store-sqlite",
    ]);
  });
});

describe("the tables of the READMEs", () => {
  const found = tables();

  it.each(LISTED)("list $type as it is, no more and no less: $table", ({ table, source, type }) => {
    expect(found.get(table)?.toSorted()).toEqual(membersOf(source, type).toSorted());
  });

  it("of options are all compared with the sources", () => {
    const compared: readonly string[] = LISTED.map(({ table }) => table);
    expect([...found.keys()].filter((table) => table.includes(": option,") && !compared.includes(table))).toEqual([]);
  });
});
