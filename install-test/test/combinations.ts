import { createDatabase } from "@holdfast/dev-postgres";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { Consumer, type Manager, type Modules } from "../src/consumer.ts";

type Environment = Readonly<Record<string, string>>;
type Run = (modules: Modules, env?: Environment) => Promise<unknown>;

/** What somebody installs together, and what a program says on it. */
interface Combination {
  readonly name: string;
  /** Packages of this workspace. */
  readonly ours: readonly string[];
  readonly others?: readonly string[];
  readonly program: string;
  /** For libraries whose declarations have errors of their own. */
  readonly skipLibCheck?: boolean;
  /** Runs the program as ES module and as CommonJS, in one folder, and judges what it says. */
  judge(run: Run): Promise<void>;
}

/** The compiler that people install today; the workspace is compiled by the one before it. */
const COMPILER = ["typescript@7", "@types/node@24"];
const KEY = { KEY_STORE_KEY: Buffer.alloc(32, 7).toString("base64") };
const NOWHERE = "postgres://nobody@127.0.0.1:1/none";
/** An Ed25519 key in unpadded base64. */
const IDENTITY = expect.stringMatching(/^[A-Za-z0-9+/]{43}$/);

let databases = 0;

async function database(): Promise<string> {
  databases += 1;
  return createDatabase(inject("serverUrl"), `install_${process.pid}_${databases}`);
}

const COMBINATIONS: readonly Combination[] = [
  {
    name: "memory alone",
    ours: ["@holdfast/key-store-memory"],
    program: "memory",
    async judge(run) {
      const answer = { ready: true, kind: "memory", persistence: "volatile", value: "kept" };
      expect(await run("esm")).toEqual(answer);
      expect(await run("commonjs")).toEqual(answer);
    },
  },
  {
    name: "SQLite alone",
    ours: ["@holdfast/key-store-sqlite"],
    program: "sqlite",
    async judge(run) {
      const answer = { ready: true, kind: "sqlite", persistence: "durable" };
      expect(await run("esm")).toEqual({ ...answer, runs: 1 });
      expect(await run("commonjs")).toEqual({ ...answer, runs: 2 });
    },
  },
  {
    name: "PostgreSQL alone",
    ours: ["@holdfast/key-store-postgres"],
    program: "postgres",
    async judge(run) {
      const env = { DATABASE_URL: await database() };
      const answer = { ready: true, kind: "postgres", persistence: "durable" };
      expect(await run("esm", env)).toEqual({ ...answer, runs: 1 });
      expect(await run("commonjs", env)).toEqual({ ...answer, runs: 2 });
    },
  },
  {
    name: "the client with SQLite",
    ours: ["@holdfast/client", "@holdfast/key-store-sqlite"],
    program: "client",
    async judge(run) {
      const env = { ...KEY, USE_POSTGRES_STORE: "false", KEY_STORE_SQLITE_PATH: "keys.sqlite" };
      const first = await run("esm", env);
      expect(first).toEqual({
        kind: "sqlite",
        mode: "development",
        keyStoreAvailable: true,
        identity: IDENTITY,
        lines: expect.arrayContaining(["Using SQLite store for development"]),
      });
      expect(await run("commonjs", env)).toEqual(first);
    },
  },
  {
    name: "the client with PostgreSQL",
    ours: ["@holdfast/client", "@holdfast/key-store-postgres"],
    program: "client",
    async judge(run) {
      const env = { ...KEY, DATABASE_URL: await database() };
      const first = await run("esm", env);
      expect(first).toEqual({
        kind: "postgres",
        mode: "production",
        keyStoreAvailable: true,
        identity: IDENTITY,
        lines: expect.arrayContaining(["Using PostgreSQL store for production"]),
      });
      expect(await run("commonjs", env)).toEqual(first);
    },
  },
  {
    name: "the client with PostgreSQL and SQLite",
    ours: ["@holdfast/client", "@holdfast/key-store-postgres", "@holdfast/key-store-sqlite"],
    program: "client",
    async judge(run) {
      const env = { ...KEY, KEY_STORE_SQLITE_PATH: "keys.sqlite" };
      expect(await run("esm", { ...env, DATABASE_URL: await database() })).toMatchObject({
        kind: "postgres",
        mode: "production",
        keyStoreAvailable: true,
      });
      expect(await run("commonjs", { ...env, DATABASE_URL: NOWHERE })).toMatchObject({
        kind: "sqlite",
        mode: "development",
        keyStoreAvailable: false,
        lines: expect.arrayContaining(["Using SQLite store for development"]),
      });
    },
  },
  {
    name: "the client with no adapter",
    ours: ["@holdfast/client"],
    program: "client",
    async judge(run) {
      const answer = {
        kind: "memory",
        mode: "ephemeral",
        keyStoreAvailable: false,
        lines: expect.arrayContaining(["Running in development mode without key persistence"]),
      };
      expect(await run("esm", KEY)).toMatchObject(answer);
      expect(await run("commonjs", KEY)).toMatchObject(answer);
    },
  },
  {
    name: "matrix-js-sdk on the IndexedDB of SQLite",
    ours: ["@holdfast/indexeddb", "@holdfast/key-store-sqlite"],
    others: ["matrix-js-sdk@43"],
    program: "matrix-js-sdk",
    skipLibCheck: true,
    async judge(run) {
      const first = await run("esm");
      expect(first).toEqual({ identity: IDENTITY });
      expect(await run("commonjs")).toEqual(first);
    },
  },
];

/** Installs every combination, and runs and compiles a program on each. */
export function combinations(manager: Manager): void {
  describe.each(COMBINATIONS)(`installed by ${manager}, $name`, (combination) => {
    const { ours, others = [], program, skipLibCheck = false } = combination;
    const consumer = new Consumer(inject("market"), manager, combination.name.replaceAll(/\W/g, "-"));
    beforeAll(async () => {
      const released = ours.map((name) => `${name}@${inject("versions")[name]}`);
      await consumer.install([...released, ...others, ...COMPILER]);
    });

    it("runs, as an ES module and by require()", async () => {
      await combination.judge((modules, env) => consumer.run(program, modules, env));
    });

    it.each(["nodenext", "bundler"] as const)(
      "has types for a program that is compiled under %s",
      async (resolution) => {
        await consumer.typeCheck(program, resolution, skipLibCheck);
      },
    );
  });
}
