import { userInfo } from "node:os";
import type { ConnectionOptions } from "node:tls";
import { type KeyStoreOptions, numberOption } from "@holdfast/key-store-core";
import type postgres from "postgres";
import { config } from "./errors.ts";
import type { ConnectionPlan } from "./open-connection.ts";
import type { TlsPlan } from "./socket.ts";
import { type ConnectionUrl, parseConnectionUrl } from "./url.ts";

/** Options of a {@link PostgresKeyStore}. The database is given once: by `url`, by its parts, or by `sql`. */
export interface PostgresKeyStoreOptions extends KeyStoreOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`, as libpq reads it. */
  readonly url?: string | undefined;
  /** A name, an address, or the directory of the server's Unix socket. Default: `"localhost"`. */
  readonly host?: string | undefined;
  /** Default: 5432. */
  readonly port?: number | undefined;
  /** Default: the user's name. */
  readonly database?: string | undefined;
  /** Default: the name of the user that runs this process. */
  readonly user?: string | undefined;
  /** Default: none. */
  readonly password?: string | undefined;
  /** A client of postgres.js that is there already. It is used, and not ended by `close()`. */
  readonly sql?: postgres.Sql | undefined;
  /** The schema for the tables, made where it is missing. Default: `"holdfast"`. */
  readonly schema?: string | undefined;
  /** The most connections at a time, 1 to 1,000, and one more for the heartbeat while all are busy. Default: 4. */
  readonly maxConnections?: number | undefined;
  /**
   * `false`: never encrypted. `"require"`: encrypted, the server's certificate
   * unchecked. `"verify-full"`: checked, with its name. An object: checked, with
   * these options of `tls.connect`. Default: the URL's `sslmode`; without one
   * `prefer`, as libpq: encrypted if the server can.
   */
  readonly tls?: false | "require" | "verify-full" | ConnectionOptions | undefined;
  /** How the connections are called in `pg_stat_activity`. Default: the URL's `application_name`, or `"holdfast"`. */
  readonly applicationName?: string | undefined;
  /** How long a lease stays in force after its holder's last sign of life, in milliseconds. Default: 15,000. */
  readonly leaseMs?: number | undefined;
  /**
   * Whether leases are renewed while devices are open, three times per
   * `leaseMs`. Without, for databases that sleep when nobody asks, a lease runs
   * out `leaseMs` after this process last opened a device: others may then take
   * the device over, and this process is fenced, never two at a time. Default: `true`.
   */
  readonly heartbeat?: boolean | undefined;
  /**
   * Whether the server keeps statements, so that each takes one round trip.
   * `"auto"`: unless there is a pooler in between. Default: `"auto"`.
   */
  readonly preparedStatements?: "auto" | boolean | undefined;
  /**
   * `"full"`: every commit waits until it is on the server's disk, and a server
   * that runs without `fsync` is refused. `"as-configured"`: the server's own
   * settings decide, and commits may be lost. Default: `"full"`.
   */
  readonly durability?: "full" | "as-configured" | undefined;
}

/** The options, checked and complete. */
export interface PostgresPlan {
  /** How to open connections, or the client that has them. */
  readonly connection: ConnectionPlan | postgres.Sql;
  readonly schema: string;
  readonly maxConnections: number;
  readonly leaseMs: number;
  readonly heartbeat: boolean;
  readonly preparedStatements: "auto" | boolean;
  readonly durable: boolean;
  readonly connectTimeoutMs: number;
  readonly operationTimeoutMs: number;
  readonly commitTimeoutMs: number;
}

const MAX_MS = 2 ** 31 - 1;

/** @throws `ERR_KEY_STORE_CONFIG` for what cannot be meant; never with the password in the message */
export function postgresPlan(given: PostgresKeyStoreOptions | string): PostgresPlan {
  const options: PostgresKeyStoreOptions = typeof given === "string" ? { url: given } : { ...given };
  if (typeof given !== "string" && (typeof given !== "object" || given === null)) {
    config("PostgresKeyStore takes a connection URL or options");
  }
  const { heartbeat = true, preparedStatements = "auto", durability = "full" } = options;
  if (typeof heartbeat !== "boolean") config("the option heartbeat must be true or false");
  if (preparedStatements !== "auto" && typeof preparedStatements !== "boolean") {
    config('the option preparedStatements must be "auto", true or false');
  }
  if (durability !== "full" && durability !== "as-configured") {
    config('the option durability must be "full" or "as-configured"');
  }
  const schema = textOption("schema", options.schema) ?? "holdfast";
  if (schema === "" || Buffer.byteLength(schema) > 63 || schema.startsWith("pg_")) {
    config("the option schema must be a name of 1 to 63 bytes that does not begin with pg_");
  }
  const connectTimeoutMs = numberOption("connectTimeoutMs", options.connectTimeoutMs, 5_000, 1, MAX_MS);
  return Object.freeze({
    connection: options.sql === undefined ? connectionPlan(options, connectTimeoutMs) : injected(options, options.sql),
    schema,
    maxConnections: Math.floor(numberOption("maxConnections", options.maxConnections, 4, 1, 1_000)),
    leaseMs: Math.floor(numberOption("leaseMs", options.leaseMs, 15_000, 100, MAX_MS)),
    heartbeat,
    preparedStatements,
    durable: durability === "full",
    connectTimeoutMs,
    operationTimeoutMs: numberOption("operationTimeoutMs", options.operationTimeoutMs, 10_000, 1, MAX_MS),
    commitTimeoutMs: numberOption("commitTimeoutMs", options.commitTimeoutMs, 30_000, 1, MAX_MS),
  });
}

/** What an injected client decides by itself. */
const DECIDED_BY_CLIENT = [
  "url",
  "host",
  "port",
  "database",
  "user",
  "password",
  "maxConnections",
  "tls",
  "applicationName",
] as const;

function injected(options: PostgresKeyStoreOptions, sql: postgres.Sql): postgres.Sql {
  if (typeof sql !== "function" || typeof sql.unsafe !== "function" || typeof sql.reserve !== "function") {
    config("the option sql must be a client of postgres.js");
  }
  for (const name of DECIDED_BY_CLIENT) {
    if (options[name] !== undefined) config(`the options sql and ${name} exclude each other: the client decides it`);
  }
  const { column, value, row } = sql.options?.transform ?? {};
  if (column === undefined || value === undefined || row === undefined) {
    config("the option sql must be a client of postgres.js, with its options");
  }
  if ([column.from, column.to, value.from, row.from].some((transform) => transform !== undefined)) {
    config("the client in the option sql transforms names or values: give one without transform");
  }
  return sql;
}

const PARTS = ["host", "port", "database", "user", "password"] as const;

function connectionPlan(options: PostgresKeyStoreOptions, connectTimeoutMs: number): ConnectionPlan {
  const given = textOption("url", options.url);
  for (const name of PARTS) {
    if (given !== undefined && options[name] !== undefined) config(`the options url and ${name} exclude each other`);
  }
  const url: ConnectionUrl = given === undefined ? {} : parseConnectionUrl(given);
  const user = url.user ?? textOption("user", options.user) ?? systemUser();
  return Object.freeze({
    address: Object.freeze({
      host: url.host ?? textOption("host", options.host) ?? "localhost",
      port: url.port ?? portOption(options.port) ?? 5432,
    }),
    tls: tlsPlan(options.tls, url),
    login: Object.freeze({
      database: url.database ?? textOption("database", options.database) ?? user,
      user,
      password: url.password ?? textOption("password", options.password),
      applicationName: textOption("applicationName", options.applicationName) ?? url.applicationName ?? "holdfast",
    }),
    connectTimeoutMs,
  });
}

/** The name of the user that runs this process, as libpq takes it. */
function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container, as a rule.
    return config("no user is given, and the user that runs this process has no name here: give one");
  }
}

function tlsPlan(tls: unknown, url: ConnectionUrl): TlsPlan {
  const files = { rootCertificateFile: url.sslrootcert, certificateFile: url.sslcert, keyFile: url.sslkey };
  if (tls === undefined) return Object.freeze({ mode: url.sslmode ?? "prefer", options: {}, ...files });
  if (tls === false) return Object.freeze({ mode: "disable", options: {}, ...files });
  if (tls === "require" || tls === "verify-full") return Object.freeze({ mode: tls, options: {}, ...files });
  if (typeof tls !== "object" || tls === null) {
    config('the option tls must be false, "require", "verify-full" or options of tls.connect');
  }
  return Object.freeze({ mode: "verify-full", options: Object.freeze({ ...tls }), ...files });
}

function textOption(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    config(`the option ${name} must be a string that is not empty`);
  }
  return value;
}

function portOption(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || !((value as number) > 0 && (value as number) < 65536)) {
    config("the option port must be a whole number from 1 to 65535");
  }
  return value as number;
}
