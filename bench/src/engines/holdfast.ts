import { join } from "node:path";
import type { KeyStore } from "@holdfast/key-store-core";
import postgres from "postgres";
import type { PostgresPlaces } from "../protocol.ts";
import { DEVICE, STORE_KEY, type Subject } from "./subject.ts";

/** The crypto engine on a key store of ours, opened as a program opens it. */
async function keyStoreSubject(
  makeKeyStore: () => KeyStore,
  statements: () => Promise<number | undefined> = async () => undefined,
): Promise<Subject> {
  const { openOlmMachine } = await import("@holdfast/client");
  /** The latest; every opening has a key store of its own, so that no cache outlives it. */
  let keyStore: KeyStore | undefined;
  let earlierCommits = 0;

  const commitsOf = async (store: KeyStore | undefined): Promise<number> =>
    store === undefined ? 0 : (await store.stats()).counters.commits;

  return {
    async open() {
      earlierCommits += await commitsOf(keyStore);
      const opened = makeKeyStore();
      keyStore = opened;
      if (!(await opened.init())) throw new Error(`the key store is ${JSON.stringify(opened.status)}`);
      const engine = await openOlmMachine({ keyStore: opened, ...DEVICE, key: STORE_KEY });
      const close = async () => {
        await engine.close();
        await opened.close();
      };
      return { machine: engine.machine, close };
    },
    commits: async () => earlierCommits + (await commitsOf(keyStore)),
    statements,
    [Symbol.asyncDispose]: async () => keyStore?.close(),
  };
}

/** Ours on memory: what it costs to be fenced, ordered and committed whole, without a database. */
export async function memorySubject(): Promise<Subject> {
  const { MemoryKeyStore, MemoryStorage } = await import("@holdfast/key-store-memory");
  const storage = new MemoryStorage();
  return keyStoreSubject(() => new MemoryKeyStore({ storage }));
}

/** Ours on SQLite, durable through a loss of power (`synchronous=FULL`, the default). */
export async function sqliteSubject(directory: string): Promise<Subject> {
  const { SqliteKeyStore } = await import("@holdfast/key-store-sqlite");
  return keyStoreSubject(() => new SqliteKeyStore({ path: join(directory, "bench.sqlite"), durability: "full" }));
}

/** Ours on a PostgreSQL whose commits wait for its disk. */
export async function postgresSubject(places: PostgresPlaces): Promise<Subject> {
  const { PostgresKeyStore } = await import("@holdfast/key-store-postgres");
  const watch = postgres(places.watchUrl, { max: 1 });
  const statements = async (): Promise<number> => {
    const [row] = await watch<{ calls: number }[]>`
      select coalesce(sum(s.calls), 0)::int as calls
      from pg_stat_statements s join pg_database d on d.oid = s.dbid
      where d.datname = ${places.database} and s.toplevel`;
    return row?.calls ?? 0;
  };
  const subject = await keyStoreSubject(
    () => new PostgresKeyStore({ url: places.url, durability: "full" }),
    statements,
  );
  return {
    ...subject,
    async [Symbol.asyncDispose]() {
      await subject[Symbol.asyncDispose]();
      await watch.end();
    },
  };
}
