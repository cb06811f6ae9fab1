import { config } from "./errors.ts";
import type { TlsMode } from "./socket.ts";

/** What a connection URL says; what it leaves out is `undefined`. */
export interface ConnectionUrl {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly applicationName?: string | undefined;
  readonly sslmode?: TlsMode | undefined;
  readonly sslrootcert?: string | undefined;
  readonly sslcert?: string | undefined;
  readonly sslkey?: string | undefined;
}

const TLS_MODES: Readonly<Record<string, TlsMode>> = {
  disable: "disable",
  allow: "prefer",
  prefer: "prefer",
  require: "require",
  "verify-ca": "verify-ca",
  "verify-full": "verify-full",
};

/** Parameters that are read here. */
const READ = [
  "host",
  "port",
  "dbname",
  "user",
  "password",
  "application_name",
  "sslmode",
  "ssl",
  "channel_binding",
  "sslrootcert",
  "sslcert",
  "sslkey",
];

/** Parameters that say nothing which matters here, as other programs or hosts put them into an address they share. */
const WITHOUT_MEANING = new Set(["connect_timeout", "keepalives", "target_session_attrs", "pgbouncer", "schema"]);

/**
 * Reads a connection URL as libpq does
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS),
 * with one host.
 *
 * @throws `ERR_KEY_STORE_CONFIG`; the message never repeats the URL, which holds the password
 */
export function parseConnectionUrl(text: string): ConnectionUrl {
  if (!/^postgres(ql)?:\/\//.test(text)) config("the connection URL must begin with postgres:// or postgresql://");
  checkEncoding(text);
  const url = parsed(text);
  const parameters = new Map(url.searchParams);
  const take = (name: string): string | undefined => {
    const value = parameters.get(name);
    parameters.delete(name);
    return value === "" ? undefined : value;
  };
  const host = take("host") ?? decoded("host", url.hostname.replace(/^\[(.*)\]$/, "$1"));
  if (host?.includes(",")) config("the connection URL names several hosts: give the one that leads to the primary");
  const result: ConnectionUrl = {
    host,
    port: portOf(take("port") ?? url.port),
    database: take("dbname") ?? decoded("database", url.pathname.slice(1)),
    user: take("user") ?? decoded("user", url.username),
    password: take("password") ?? decoded("password", url.password),
    applicationName: take("application_name"),
    sslmode: tlsModeOf(take("sslmode"), take("ssl"), take("channel_binding")),
    sslrootcert: take("sslrootcert"),
    sslcert: take("sslcert"),
    sslkey: take("sslkey"),
  };
  for (const name of parameters.keys()) {
    if (WITHOUT_MEANING.has(name)) continue;
    // What cannot be the name of a parameter may be a piece of a password.
    const which = /^[a-z_]+$/.test(name) ? `: ${name}` : "";
    config(`the connection URL has a parameter that is not known here${which}`);
  }
  return result;
}

/**
 * A user or a password with a `/`, `?` or `#` in it ends what URLs take for the
 * part with the host, and the rest of the password becomes the name of a
 * database or a parameter: an `@` behind that tells.
 */
function checkEncoding(text: string): void {
  const [, authority = "", rest = ""] = /^[^:]*:\/\/([^/?#]*)(.*)$/s.exec(text) ?? [];
  if (!authority.includes(":")) return;
  if (rest.replace(PARAMETERS, "").includes("@")) malformed();
}

/** Known parameters with their values, in which an `@` says nothing. */
const PARAMETERS = new RegExp(`[?&](?:${[...READ, ...WITHOUT_MEANING].join("|")})=[^&#]*`, "g");

function malformed(): never {
  config("the connection URL is malformed: special characters in a user or password must be percent-encoded");
}

function parsed(text: string): URL {
  // Without a host, `new URL` would refuse what libpq takes.
  const url =
    URL.parse(text) ?? URL.parse(text.replace(/^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?:]|$)/, "$1localhost"));
  return url ?? malformed();
}

function decoded(part: string, value: string): string | undefined {
  if (value === "") return undefined;
  try {
    const result = decodeURIComponent(value);
    if (!result.includes("\0")) return result;
  } catch {
    // Said below, without the value.
  }
  return config(`the connection URL's ${part} is not percent-encoded UTF-8`);
}

function portOf(value: string): number | undefined {
  if (value === "") return undefined;
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65535) config("the connection URL's port must be from 1 to 65535");
  return port;
}

function tlsModeOf(
  sslmode: string | undefined,
  ssl: string | undefined,
  channelBinding: string | undefined,
): TlsMode | undefined {
  if (ssl !== undefined && ssl !== "true" && ssl !== "false") config("the connection URL's ssl must be true or false");
  const mode = sslmode ?? (ssl === undefined ? undefined : ssl === "true" ? "require" : "disable");
  const known = mode === undefined ? undefined : TLS_MODES[mode];
  if (mode !== undefined && known === undefined) {
    config(`the connection URL's sslmode must be one of ${Object.keys(TLS_MODES).join(", ")}`);
  }
  // Binding the login to the certificate keeps somebody in the middle out. It is not done here; checking the
  // certificate in full keeps them out as well.
  if (channelBinding === "require") return "verify-full";
  return known;
}
