/** What is measured of the crypto engine. */
export const CRYPTO_WORKLOADS = ["encrypt", "decrypt", "share", "receive", "import", "open"] as const;
export type CryptoWorkloadName = (typeof CRYPTO_WORKLOADS)[number];

/** What is measured of IndexedDB by itself. */
export const INDEXEDDB_WORKLOADS = ["puts", "gets", "gets-apart", "get-all", "cursor", "index-scan"] as const;
export type IndexedDbWorkloadName = (typeof INDEXEDDB_WORKLOADS)[number];

/** All that is measured, in the order of the table. */
export const WORKLOADS = [...CRYPTO_WORKLOADS, ...INDEXEDDB_WORKLOADS] as const;
export type WorkloadName = (typeof WORKLOADS)[number];

/** Workloads of many calls: a program that has run for a while has made them all before. */
export const WARMED_UP: readonly CryptoWorkloadName[] = ["encrypt", "decrypt", "share", "receive"];

/** What it is measured on: first the two that the others are compared with. */
export const ENGINES = ["in-memory", "fake-indexeddb", "memory", "sqlite", "postgres"] as const;
export type EngineName = (typeof ENGINES)[number];

/** How much of everything. */
export interface Sizes {
  /** Events to encrypt and to decrypt. */
  readonly events: number;
  /** Rooms whose keys are shared and received. */
  readonly rooms: number;
  /** Room keys to import. */
  readonly importedKeys: number;
  /** Users whose devices are tracked when the device is opened. */
  readonly trackedUsers: number;
  /** Records of an object store. */
  readonly records: number;
}

/** What the issue of the benchmark asks for. */
export const FULL_SIZE: Sizes = {
  events: 300,
  rooms: 300,
  importedKeys: 20_000,
  trackedUsers: 10_000,
  records: 10_000,
};

/** The workloads of a child process, in their order: all of one kind, which share a device or a database. */
export type TaskWorkloads =
  | { readonly kind: "crypto"; readonly workloads: readonly CryptoWorkloadName[] }
  | { readonly kind: "indexeddb"; readonly workloads: readonly IndexedDbWorkloadName[] };

/** What a child process is to do: these workloads on one engine, once. */
export type Task = TaskWorkloads & TaskSurroundings;

/** Where and how a child process works. */
export interface TaskSurroundings {
  readonly engine: EngineName;
  readonly sizes: Sizes;
  /** How often each workload of {@link WARMED_UP} runs beforehand, untimed. */
  readonly warmUps: number;
  /** Empty, and the child's own. */
  readonly directory: string;
  /** The file of room keys to import: the same for all engines of a run. */
  readonly exportedKeysFile: string;
  /** An empty database of the child's own, and one from which to watch it; only for PostgreSQL. */
  readonly postgres?: PostgresPlaces | undefined;
  /** A directory for a CPU profile of each timed part; absent: none is taken. */
  readonly profiles?: string | undefined;
}

export interface PostgresPlaces {
  readonly url: string;
  readonly database: string;
  /** Another database of the same server, with `pg_stat_statements`. */
  readonly watchUrl: string;
}

/** Figures of the timed part of one workload. */
export interface Measurement {
  readonly ms: number;
  /** Of them, how long the process's main thread was at work: what another busy program on the machine changes least. */
  readonly cpuMs: number;
  /** Calls of the crypto engine, each awaited before the next; or requests of IndexedDB. */
  readonly calls: number;
  /** Durable commits, as the key store counts them; 0 where nothing is durable. */
  readonly commits: number;
  /** Statements that PostgreSQL ran; `undefined` for the other engines. */
  readonly statements?: number | undefined;
}

/** What comes from a child process: an answer for each workload, or why there is none. */
export type Reply =
  | { readonly workload: WorkloadName; readonly measurement: Measurement }
  | { readonly failure: string };
