import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFile, chown, cp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { EmbeddedPostgres } from "./embedded.ts";
import { freePort, sharedDirectory, watchOver } from "./machine.ts";

export interface DevPostgresOptions {
  /** Settings of `postgresql.conf`, such as `{ fsync: "off" }`. Default: durable ones. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /**
   * Start as a hot standby of this server, from a copy of its files, for which
   * it must be stopped; the standby follows it whenever it runs.
   */
  readonly standbyOf?: DevPostgres | undefined;
}

/** A PostgreSQL server of its own, in a temporary directory, on 127.0.0.1. */
export interface DevPostgres extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Where its files are. */
  readonly dataDirectory: string;
  /** The address of a database. Default: `"postgres"`. */
  url(database?: string): string;
  /** Makes an empty database, and answers with its address. */
  createDatabase(): Promise<string>;
  /** Makes a standby a server that takes commits, on a timeline of its own. */
  promote(): Promise<void>;
  /** Stops the server: `"fast"` ends sessions and shuts down, `"immediate"` is as good as a power cut. */
  stop(mode?: "fast" | "immediate"): Promise<void>;
  /** Stops it as a power cut does: `stop("immediate")`. */
  stopImmediate(): Promise<void>;
  /** Starts it again, with the same files and port. */
  start(): Promise<void>;
  /** Stops it and starts it again. Default: `"fast"`. */
  restart(mode?: "fast" | "immediate"): Promise<void>;
  /**
   * Ends the sessions of clients, by `pg_terminate_backend`; answers with how
   * many. Default: of every client; else of those with this `application_name`.
   */
  terminateBackends(applicationName?: string): Promise<number>;
}

const USER = "postgres";
const PASSWORD = "dev password: p@ss/w%rd";

const SETTINGS = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "300",
  shared_buffers: "32MB",
  // The package waits for a line of this level; errors of statements are below it.
  log_min_messages: "log",
  log_checkpoints: "off",
};

/**
 * Starts a PostgreSQL. What it leaves behind is removed by its disposal, when
 * this process exits, and also when this process is killed.
 */
export async function startPostgres(options: DevPostgresOptions = {}): Promise<DevPostgres> {
  const directory = await sharedDirectory("holdfast-postgres-");
  const server = new Server(directory, await freePort(), { ...SETTINGS, ...options.settings });
  try {
    await server.create(options.standbyOf);
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

class Server implements DevPostgres {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly user = USER;
  readonly password = PASSWORD;
  readonly dataDirectory: string;
  readonly #directory: string;
  readonly #log: string[] = [];
  readonly #embedded: InstanceType<typeof EmbeddedPostgres>;
  readonly #guard: { done(): void };
  #standbyReady = Promise.withResolvers<void>();
  #running = false;
  #databases = 0;

  constructor(directory: string, port: number, settings: Readonly<Record<string, string>>) {
    this.#directory = directory;
    this.port = port;
    this.dataDirectory = join(directory, "data");
    const log = (line: unknown): void => {
      this.#log.push(String(line));
      if (this.#log.length > 100) this.#log.shift();
      // A standby says it in words that the package does not wait for.
      if (String(line).includes("ready to accept read-only connections")) this.#standbyReady.resolve();
    };
    this.#embedded = new EmbeddedPostgres({
      databaseDir: this.dataDirectory,
      port,
      user: USER,
      password: PASSWORD,
      authMethod: "scram-sha-256",
      persistent: true,
      initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
      postgresFlags: Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      createPostgresUser: process.getuid?.() === 0,
      onLog: log,
      onError: log,
    });
    this.#guard = watchOver(join(this.dataDirectory, "postmaster.pid"), directory);
  }

  async create(primary: DevPostgres | undefined): Promise<void> {
    if (primary === undefined) return this.#embedded.initialise();
    const { uid, gid } = await stat(primary.dataDirectory);
    await cp(primary.dataDirectory, this.dataDirectory, { recursive: true, preserveTimestamps: true });
    await writeFile(join(this.dataDirectory, "standby.signal"), "");
    const { host, port, user, password } = primary;
    const conninfo = `host=${host} port=${port} user=${user} password='${password}'`.replaceAll("'", "''");
    await appendFile(join(this.dataDirectory, "postgresql.conf"), `\nprimary_conninfo = '${conninfo}'\n`);
    await ownAll(this.dataDirectory, uid, gid);
  }

  url(database = "postgres"): string {
    return `postgres://${USER}:${encodeURIComponent(PASSWORD)}@${this.host}:${this.port}/${database}`;
  }

  async createDatabase(): Promise<string> {
    this.#databases += 1;
    // Several processes may ask one server.
    const name = `db_${process.pid}_${Date.now().toString(36)}_${this.#databases}`;
    return createDatabase(this.url(), name);
  }

  async start(): Promise<void> {
    if (this.#running) return;
    this.#standbyReady = Promise.withResolvers<void>();
    const started = this.#embedded.start().catch(() => {
      throw new Error(`PostgreSQL did not start:\n${this.#log.join("")}`);
    });
    await Promise.race([started, this.#standbyReady.promise]);
    // Stopped later, a standby has not started in the package's sense.
    started.catch(() => {});
    this.#running = true;
  }

  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    if (mode === "immediate") {
      // There is no such stop in the package: its process is reached for, and taken from it, lest it wait for its end.
      const embedded = this.#embedded as unknown as { process?: ChildProcess | undefined };
      const child = embedded.process;
      embedded.process = undefined;
      if (child !== undefined && child.exitCode === null && child.signalCode === null) {
        const exited = once(child, "exit");
        child.kill("SIGQUIT");
        await exited;
      }
      return;
    }
    await this.#embedded.stop();
  }

  async promote(): Promise<void> {
    const sql = postgres(this.url(), { max: 1, onnotice: () => {} });
    try {
      const [row] = await sql<{ promoted: boolean }[]>`select pg_promote() as promoted`;
      if (row?.promoted !== true) throw new Error("the standby was not promoted");
    } finally {
      await sql.end();
    }
  }

  stopImmediate(): Promise<void> {
    return this.stop("immediate");
  }

  async restart(mode: "fast" | "immediate" = "fast"): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  async terminateBackends(applicationName?: string): Promise<number> {
    const sql = postgres(this.url(), { max: 1, onnotice: () => {} });
    try {
      const ended = await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid()
        and application_name = coalesce(${applicationName ?? null}, application_name)`;
      return ended.length;
    } finally {
      await sql.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate");
    await rm(this.#directory, { recursive: true, force: true });
    this.#guard.done();
  }
}

/** Makes a database on a server, and answers with its address. */
export async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(`create database "${name}" template template0`);
  } finally {
    await sql.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function ownAll(directory: string, uid: number, gid: number): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const entries = await readdir(directory, { recursive: true });
  await Promise.all(
    [directory, ...entries.map((entry) => join(directory, entry))].map((path) => chown(path, uid, gid)),
  );
}
