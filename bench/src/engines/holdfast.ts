import { join } from "node:path";
import type { KeyStore } from "@holdfast/key-store-core";
import postgres from "postgres";
import type { PostgresPlaces, Task } from "../protocol.ts";
import { DEVICE, type OpenEngine, type OpenIndexedDb, STORE_KEY, type Subject } from "./subject.ts";

/** What is opened on a key store that is ready. */
type OpenOn<Opened> = (keyStore: KeyStore) => Promise<Opened>;

/** The crypto engine, opened as a program opens it. */
export async function olmMachineOn(keyStore: KeyStore): Promise<OpenEngine> {
  const { openOlmMachine } = await import("@holdfast/client");
  const engine = await openOlmMachine({ keyStore, ...DEVICE, key: STORE_KEY });
  return { machine: engine.machine, close: () => engine.close() };
}

/** IndexedDB by itself: each transaction is a commit. */
export async function indexedDbOn(keyStore: KeyStore): Promise<OpenIndexedDb> {
  const { createIndexedDB } = await import("@holdfast/indexeddb");
  const device = await keyStore.openDevice(DEVICE);
  if (device === null) throw new Error(`the key store is ${JSON.stringify(keyStore.status)}`);
  return { factory: createIndexedDB(device), close: () => device.close() };
}

/** Ours on a key store. */
export async function keyStoreSubject<Opened extends { close(): Promise<void> }>(
  { engine, directory, postgres: places }: Task,
  openOn: OpenOn<Opened>,
): Promise<Subject<Opened>> {
  if (engine === "memory") return subjectOn(await memory(), openOn);
  if (engine === "sqlite") return subjectOn(await sqlite(directory), openOn);
  if (places === undefined) throw new Error("a task on PostgreSQL needs a database");
  const watch = postgres(places.watchUrl, { max: 1 });
  const subject = await subjectOn(await onPostgres(places), openOn);
  return {
    ...subject,
    statements: async () => {
      const [row] = await watch<{ calls: number }[]>`
        select coalesce(sum(s.calls), 0)::int as calls
        from pg_stat_statements s join pg_database d on d.oid = s.dbid
        where d.datname = ${places.database} and s.toplevel`;
      return row?.calls ?? 0;
    },
    async [Symbol.asyncDispose]() {
      await subject[Symbol.asyncDispose]();
      await watch.end();
    },
  };
}

async function subjectOn<Opened extends { close(): Promise<void> }>(
  makeKeyStore: () => KeyStore,
  openOn: OpenOn<Opened>,
): Promise<Subject<Opened>> {
  /** The latest; every opening has a key store of its own, so that no cache outlives it. */
  let keyStore: KeyStore | undefined;
  let earlierCommits = 0;

  const commitsOf = async (store: KeyStore | undefined): Promise<number> =>
    store === undefined ? 0 : (await store.stats()).counters.commits;

  return {
    async open() {
      earlierCommits += await commitsOf(keyStore);
      const ready = makeKeyStore();
      keyStore = ready;
      if (!(await ready.init())) throw new Error(`the key store is ${JSON.stringify(ready.status)}`);
      const opened = await openOn(ready);
      const close = async () => {
        await opened.close();
        await ready.close();
      };
      return { ...opened, close };
    },
    commits: async () => earlierCommits + (await commitsOf(keyStore)),
    statements: async () => undefined,
    [Symbol.asyncDispose]: async () => keyStore?.close(),
  };
}

/** Memory: what it costs to be fenced, ordered and committed whole, without a database. */
async function memory(): Promise<() => KeyStore> {
  const { MemoryKeyStore, MemoryStorage } = await import("@holdfast/key-store-memory");
  const storage = new MemoryStorage();
  return () => new MemoryKeyStore({ storage });
}

/** SQLite, durable through a loss of power (`synchronous=FULL`, the default). */
async function sqlite(directory: string): Promise<() => KeyStore> {
  const { SqliteKeyStore } = await import("@holdfast/key-store-sqlite");
  return () => new SqliteKeyStore({ path: join(directory, "bench.sqlite"), durability: "full" });
}

/** A PostgreSQL whose commits wait for its disk. */
async function onPostgres({ url }: PostgresPlaces): Promise<() => KeyStore> {
  const { PostgresKeyStore } = await import("@holdfast/key-store-postgres");
  return () => new PostgresKeyStore({ url, durability: "full" });
}
