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

const POSTGRES_URL = /^postgres(ql)?:\/\//;

/**
 * The address that the environment configures: as hosting add-ons give it
 * (`POSTGRESQL_ADDON_URI`, or its parts), then `DATABASE_URL`, then libpq's
 * `PG*`. `undefined` where PostgreSQL is not asked for: `USE_POSTGRES_STORE` is
 * `false`, or is unset and no address is configured.
 *
 * @throws `ERR_KEY_STORE_CONFIG`
 */
export function postgresAddress(env: Environment): PostgresAddress | undefined {
  const wanted = flag(env, "USE_POSTGRES_STORE");
  if (wanted === false) return undefined;
  const address = addonAddress(env) ?? databaseUrl(env) ?? partsFrom(env, "PG", "DATABASE");
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
  if (uri !== undefined) {
    if (!POSTGRES_URL.test(uri)) misconfigured("POSTGRESQL_ADDON_URI must begin with postgres:// or postgresql://");
    return { url: uri };
  }
  return partsFrom(env, "POSTGRESQL_ADDON_", "DB");
}

/** Other programs use this variable too: one that names another engine says nothing about PostgreSQL. */
function databaseUrl(env: Environment): PostgresAddress | undefined {
  const url = text(env, "DATABASE_URL");
  return url !== undefined && POSTGRES_URL.test(url) ? { url } : undefined;
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
