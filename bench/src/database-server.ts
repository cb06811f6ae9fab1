import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import postgres from "postgres";
import { requireDisk } from "./machine.ts";
import type { PostgresPlaces } from "./protocol.ts";

/** A real PostgreSQL on the loopback address whose commits wait for the disk, and which counts its statements. */
export class DatabaseServer implements AsyncDisposable {
  readonly #server: DevPostgres;

  private constructor(server: DevPostgres) {
    this.#server = server;
  }

  static async start(): Promise<DatabaseServer> {
    // Durable by default; the memory is PostgreSQL's own default.
    const settings = { shared_preload_libraries: "pg_stat_statements", shared_buffers: "128MB" };
    const server = await startPostgres({ settings });
    try {
      await requireDisk(server.dataDirectory);
      const sql = postgres(server.url(), { max: 1 });
      await sql`create extension pg_stat_statements`;
      await sql.end();
      return new DatabaseServer(server);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs work with an empty database, which is gone afterwards. */
  async withDatabase<T>(work: (places: PostgresPlaces) => Promise<T>): Promise<T> {
    const url = await this.#server.createDatabase();
    const database = new URL(url).pathname.slice(1);
    try {
      return await work({ url, database, watchUrl: this.#server.url() });
    } finally {
      const sql = postgres(this.#server.url(), { max: 1 });
      await sql`drop database ${sql(database)} with (force)`;
      // What one measurement wrote is not the next one's to write back.
      await sql`checkpoint`;
      await sql.end();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]() as Promise<void>;
  }
}
