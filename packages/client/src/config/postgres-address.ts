import { type Logger, silentLogger } from "@holdfast/key-store-core";
import { choice, type Environment, flag, misconfigured, port, text } from "./variables.ts";

/** Where PostgreSQL is: a connection string, or its parts; and how its connections are encrypted, where that is said. */
export type PostgresAddress = (
  | { readonly url: string }
  | {
      readonly host: string;
      readonly port?: number;
      readonly database?: string;
      readonly user?: string;
      readonly password?: string;
    }
) & { readonly tls?: false | "require" | "verify-full" };

const POSTGRES_URL = /^postgres(ql)?:\/\//i;

/** What stands before the host, where there is none. */
const WITHOUT_HOST = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?:]|$)/;

/** What a URL of a database begins with: the engine, and for some libraries the name of its driver. */
const SCHEME = /^([a-z][a-z0-9.-]*)(\+[a-z0-9.+-]*)?:/i;

/** What other engines' URLs begin with, as libraries of several languages write them in `DATABASE_URL`. */
const OTHER_ENGINES: ReadonlySet<string> = new Set([
  ...["mysql", "mysql2", "mysqlx", "mariadb", "mssql", "sqlserver", "oracle", "db2", "clickhouse", "prisma"],
  ...["sqlite", "sqlite3", "libsql", "duckdb", "file", "mongodb", "redis", "rediss", "cassandra", "neo4j"],
]);

/**
 * The address that the environment configures: as hosting add-ons give it
 * (`POSTGRESQL_ADDON_URI`, or its parts), then `DATABASE_URL`, then libpq's
 * `PG*`. `undefined` where PostgreSQL is not asked for: `USE_POSTGRES_STORE` is
 * `false`, or is unset and no address is configured. A `DATABASE_URL` of
 * another known engine says nothing about PostgreSQL: it is passed over, and
 * the log says so.
 *
 * @throws `ERR_KEY_STORE_CONFIG`, for a `DATABASE_URL` of no known engine too; no message repeats a value
 */
export function postgresAddress(env: Environment, logger: Logger = silentLogger): PostgresAddress | undefined {
  const wanted = flag(env, "USE_POSTGRES_STORE");
  if (wanted === false) return undefined;
  const address = addonAddress(env) ?? databaseUrl(env, logger) ?? partsFrom(env, "PG", "DATABASE");
  if (address === undefined && wanted === true) {
    misconfigured(
      "USE_POSTGRES_STORE is true, but no address is configured: set POSTGRESQL_ADDON_URI, POSTGRESQL_ADDON_HOST, DATABASE_URL or PGHOST",
    );
  }
  return address === undefined ? undefined : { ...address, ...tlsOf(env, address) };
}

/** `PGSSLMODE` counts for every address that does not say it itself, as it does for libpq. */
function tlsOf(env: Environment, address: PostgresAddress): Pick<PostgresAddress, "tls"> {
  const mode = choice(env, "PGSSLMODE", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]);
  if ("url" in address && /[?&](sslmode|ssl)=/.test(address.url)) return {};
  if (mode === "disable") return { tls: false };
  if (mode === "require") return { tls: "require" };
  // There is no level between an unchecked and a fully checked certificate: the stricter one is safe.
  return mode === "verify-ca" || mode === "verify-full" ? { tls: "verify-full" } : {};
}

function addonAddress(env: Environment): PostgresAddress | undefined {
  const uri = text(env, "POSTGRESQL_ADDON_URI");
  if (uri === undefined) return partsFrom(env, "POSTGRESQL_ADDON_", "DB");
  return (
    postgresUrl("POSTGRESQL_ADDON_URI", uri) ??
    misconfigured("POSTGRESQL_ADDON_URI must begin with postgres:// or postgresql://")
  );
}

/** Other programs use this variable too. What is no engine's is a typing error, and must not choose another store. */
function databaseUrl(env: Environment, logger: Logger): PostgresAddress | undefined {
  const url = text(env, "DATABASE_URL");
  if (url === undefined) return undefined;
  const address = postgresUrl("DATABASE_URL", url);
  if (address !== undefined) return address;
  const engine = SCHEME.exec(url.trim())?.[1]?.toLowerCase() ?? "";
  if (!OTHER_ENGINES.has(engine)) {
    return misconfigured(
      "DATABASE_URL must begin with postgres:// or postgresql://, without the name of a driver; where it is not meant for the keys, USE_POSTGRES_STORE=false leaves it out",
    );
  }
  logger.info(`DATABASE_URL is passed over: its engine is ${engine}, not PostgreSQL`);
  return undefined;
}

/** Schemes are the same in any case, and what was pasted may have white space around it: the adapter takes neither. */
function postgresUrl(variable: string, given: string): { readonly url: string } | undefined {
  const url = given.trim().replace(POSTGRES_URL, (scheme) => scheme.toLowerCase());
  if (!POSTGRES_URL.test(url)) return undefined;
  // libpq takes an address without a host, which `URL` does not.
  if (!URL.canParse(url) && !URL.canParse(url.replace(WITHOUT_HOST, "$1localhost"))) {
    misconfigured(`${variable} is malformed: special characters in a user or password must be percent-encoded`);
  }
  return { url };
}

function partsFrom(env: Environment, prefix: string, databaseName: string): PostgresAddress | undefined {
  const host = text(env, `${prefix}HOST`);
  if (host === undefined) return undefined;
  const number = port(env, `${prefix}PORT`);
  const database = text(env, `${prefix}${databaseName}`);
  const user = text(env, `${prefix}USER`);
  const password = text(env, `${prefix}PASSWORD`);
  return {
    host,
    ...(number !== undefined && { port: number }),
    ...(database !== undefined && { database }),
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
  };
}
