import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@holdfast/key-store-core";
import { afterAll, describe, expect, it } from "vitest";
import { atRestFrom, atRestFromEnv, checkAtRest } from "../src/config/at-rest.ts";
import { postgresAddress } from "../src/config/postgres-address.ts";
import { choice, flag, port, secret } from "../src/config/variables.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const misconfigured = (message: string | RegExp) =>
  expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG", message: expect.stringMatching(message) });

describe("the address of PostgreSQL", () => {
  it("is nowhere when nobody names one", () => {
    expect(postgresAddress({})).toBeUndefined();
  });

  it("is the add-on's connection string before all others", () => {
    const env = {
      POSTGRESQL_ADDON_URI: "postgres://a/one",
      POSTGRESQL_ADDON_HOST: "b",
      DATABASE_URL: "postgres://c/three",
      PGHOST: "d",
    };
    expect(postgresAddress(env)).toEqual({ url: "postgres://a/one" });
  });

  it("is made of the add-on's parts, those that are set", () => {
    expect(
      postgresAddress({
        POSTGRESQL_ADDON_HOST: "db.example",
        POSTGRESQL_ADDON_PORT: "5433",
        POSTGRESQL_ADDON_DB: "keys",
        POSTGRESQL_ADDON_USER: "bot",
        POSTGRESQL_ADDON_PASSWORD: "s3cret/?#",
        DATABASE_URL: "postgres://other/db",
      }),
    ).toEqual({ host: "db.example", port: 5433, database: "keys", user: "bot", password: "s3cret/?#" });
    expect(postgresAddress({ POSTGRESQL_ADDON_HOST: "db.example" })).toEqual({ host: "db.example" });
  });

  it("is DATABASE_URL before libpq's variables, unless that names another engine", () => {
    const libpq = { PGHOST: "/run/postgresql", PGDATABASE: "keys", PGSSLMODE: "require" };
    expect(postgresAddress({ DATABASE_URL: "postgresql://c/db", ...libpq })).toEqual({
      url: "postgresql://c/db",
      tls: "require",
    });
    expect(postgresAddress({ DATABASE_URL: "mysql://c/db", ...libpq })).toEqual({
      host: "/run/postgresql",
      database: "keys",
      tls: "require",
    });
  });

  it.each(["mysql", "MariaDB", "mysql+pymysql", "sqlite", "mongodb", "mongodb+srv", "redis", "mssql", "sqlserver"])(
    "is not that of DATABASE_URL where this is of another engine, which is said: %s",
    (scheme) => {
      const said: string[] = [];
      const logger = { ...silentLogger, info: (line: string) => void said.push(line) };
      expect(postgresAddress({ DATABASE_URL: `${scheme}://bot:hunter2@db/bot` }, logger)).toBeUndefined();
      const engine = scheme.toLowerCase().split("+")[0];
      expect(said).toEqual([`DATABASE_URL is passed over: its engine is ${engine}, not PostgreSQL`]);
    },
  );

  it.each([
    "postgres://[",
    "postgres://bot:hunter2@[db/bot",
    "postgres://bot:hunter2@db:port/bot",
    "postgres://bot:hunter2@db one/bot",
  ])("is refused where it cannot be read, without being repeated: %s", (url) => {
    for (const name of ["DATABASE_URL", "POSTGRESQL_ADDON_URI"]) {
      const making = () => postgresAddress({ [name]: url });
      expect(making).toThrow(misconfigured(new RegExp(`^${name} is malformed`)));
      expect(making).not.toThrow(/hunter2/);
    }
  });

  it.each([
    "postgres://",
    "postgres:///bot",
    "postgres://bot:hunter2@/bot?host=/run/pg",
    "postgres://%2Frun%2Fpg/bot",
    "postgresql://:5433/bot",
    "postgres://bot@[::1]:5433/bot",
  ])("is taken in every form that libpq takes: %s", (url) => {
    expect(postgresAddress({ DATABASE_URL: url })).toEqual({ url });
  });

  it.each(["DATABASE_URL", "POSTGRESQL_ADDON_URI"])(
    "may stand in %s in any case, with white space around it",
    (name) => {
      const url = "postgres://Bot:S3cret@DB.example/Keys";
      expect(postgresAddress({ [name]: " Postgres://Bot:S3cret@DB.example/Keys\n" })).toEqual({ url });
      expect(postgresAddress({ [name]: "POSTGRESQL://a/b" })).toEqual({ url: "postgresql://a/b" });
    },
  );

  it.each([
    "postgress://bot:hunter2@db/bot",
    "postgresql+asyncpg://bot:hunter2@db/bot",
    "jdbc:postgresql://db/bot?password=hunter2",
    "bot:hunter2@db.example.org:5432/bot",
    "db.example.org:5432/hunter2",
    "host=db password=hunter2",
    " ",
  ])("is refused in a DATABASE_URL of no engine that is known, without being repeated: %s", (DATABASE_URL) => {
    expect(() => postgresAddress({ DATABASE_URL })).toThrow(misconfigured(/^DATABASE_URL must begin with postgres:/));
    expect(() => postgresAddress({ DATABASE_URL })).not.toThrow(/hunter2/);
    expect(postgresAddress({ DATABASE_URL, USE_POSTGRES_STORE: "false" })).toBeUndefined();
  });

  it("is reached as PGSSLMODE says, unless it says so itself", () => {
    const PGSSLMODE = "verify-full";
    expect(postgresAddress({ POSTGRESQL_ADDON_HOST: "a", PGSSLMODE })).toEqual({ host: "a", tls: "verify-full" });
    const plain = "postgres://a/db";
    expect(postgresAddress({ DATABASE_URL: plain, PGSSLMODE })).toEqual({ url: plain, tls: "verify-full" });
    const own = "postgres://a/db?application_name=b&sslmode=require";
    expect(postgresAddress({ DATABASE_URL: own, PGSSLMODE })).toEqual({ url: own });
  });

  it.each([
    ["disable", { tls: false }],
    ["prefer", {}],
    ["require", { tls: "require" }],
    ["verify-ca", { tls: "verify-full" }],
    ["verify-full", { tls: "verify-full" }],
  ])("is reached as PGSSLMODE=%s says", (PGSSLMODE, tls) => {
    expect(postgresAddress({ PGHOST: "a", PGSSLMODE })).toEqual({ host: "a", ...tls });
  });

  it("is not looked for when USE_POSTGRES_STORE is false", () => {
    expect(postgresAddress({ USE_POSTGRES_STORE: "false", DATABASE_URL: "postgres://c/db" })).toBeUndefined();
  });

  it("must be there when USE_POSTGRES_STORE is true", () => {
    expect(() => postgresAddress({ USE_POSTGRES_STORE: "true" })).toThrow(misconfigured(/no address is configured/));
  });

  it("is refused where it is malformed, without being repeated", () => {
    const env = { POSTGRESQL_ADDON_URI: "http://user:hunter2@a/one" };
    expect(() => postgresAddress(env)).toThrow(misconfigured(/POSTGRESQL_ADDON_URI/));
    expect(() => postgresAddress(env)).not.toThrow(/hunter2/);
    expect(() => postgresAddress({ PGHOST: "a", PGPORT: "65536" })).toThrow(
      misconfigured("PGPORT must be a port number"),
    );
  });
});

describe("the key for the state at rest", () => {
  const key = Buffer.alloc(32, 7);

  it("is 32 bytes in base64, of either alphabet, padded or not", () => {
    const bytes = new Uint8Array(key);
    expect(atRestFromEnv({ KEY_STORE_KEY: key.toString("base64") })).toEqual({ key: bytes });
    expect(atRestFromEnv({ KEY_STORE_KEY: key.toString("base64url") })).toEqual({ key: bytes });
  });

  it.each([
    ["too short", Buffer.alloc(31).toString("base64")],
    ["too long", Buffer.alloc(33).toString("base64")],
    ["not base64 in one place", `${key.toString("base64").slice(0, 20)}!${key.toString("base64").slice(20)}`],
    ["in hexadecimal", key.toString("hex")],
  ])("is refused when it is %s, without being repeated", (_, encoded) => {
    expect(() => atRestFromEnv({ KEY_STORE_KEY: encoded })).toThrow(misconfigured(/32 bytes in base64/));
    expect(() => atRestFromEnv({ KEY_STORE_KEY: encoded })).not.toThrow(encoded);
  });

  it("may be a passphrase, and either may be in a file", () => {
    expect(atRestFromEnv({ KEY_STORE_PASSPHRASE: "correct horse" })).toEqual({ passphrase: "correct horse" });
    expect(atRestFromEnv({ KEY_STORE_PASSPHRASE_FILE: file("passphrase", "correct horse \n") })).toEqual({
      passphrase: "correct horse ",
    });
    expect(atRestFromEnv({ KEY_STORE_KEY_FILE: file("key", `${key.toString("base64")}\r\n`) })).toEqual({
      key: new Uint8Array(key),
    });
  });

  it("is one or the other, and once", () => {
    expect(() => atRestFromEnv({ KEY_STORE_KEY: key.toString("base64"), KEY_STORE_PASSPHRASE: "x" })).toThrow(
      misconfigured(/both set/),
    );
    expect(() => atRestFromEnv({ KEY_STORE_KEY: "x", KEY_STORE_KEY_FILE: file("twice", "x") })).toThrow(
      misconfigured(/both set/),
    );
  });

  it("is not silently missing when its file is", () => {
    expect(() => atRestFromEnv({ KEY_STORE_KEY_FILE: join(folder, "nowhere") })).toThrow(
      misconfigured(/cannot be read/),
    );
    expect(() => atRestFromEnv({ KEY_STORE_KEY_FILE: file("empty", "\n") })).toThrow(misconfigured(/is empty/));
  });

  it("is the program's before the environment's, and the environment's where the program gives none", () => {
    const env = { KEY_STORE_KEY: key.toString("base64") };
    const own = new Uint8Array(32).fill(1);
    expect(atRestFrom(env, { key: own })).toEqual({ key: own });
    expect(atRestFrom(env, { passphrase: "correct horse" })).toEqual({ passphrase: "correct horse" });
    for (const given of [{}, { key: undefined, passphrase: undefined }, { plaintext: "allow" } as const]) {
      expect(atRestFrom(env, given)).toEqual({ key: new Uint8Array(key) });
    }
    expect(atRestFrom({}, { plaintext: "allow" })).toEqual({ plaintext: "allow" });
    expect(atRestFrom({ KEY_STORE_PLAINTEXT: "allow" }, { plaintext: undefined })).toEqual({ plaintext: "allow" });
  });

  it("is checked with all that stands beside it", () => {
    const plaintext = "yes" as "allow";
    expect(() => checkAtRest({ key, plaintext })).toThrow(misconfigured('plaintext is "allow" or nothing'));
  });

  it("may be left out by name only", () => {
    expect(atRestFromEnv({})).toEqual({});
    expect(atRestFromEnv({ KEY_STORE_PLAINTEXT: "allow" })).toEqual({ plaintext: "allow" });
    expect(() => atRestFromEnv({ KEY_STORE_PLAINTEXT: "yes" })).toThrow(
      misconfigured("KEY_STORE_PLAINTEXT must be allow"),
    );
  });
});

describe("a variable", () => {
  it("is missing when it is empty", () => {
    expect([flag({ A: "" }, "A"), choice({ A: "" }, "A", ["b"]), port({ A: "" }, "A"), secret({ A: "" }, "A")]).toEqual(
      Array(4).fill(undefined),
    );
  });

  it("is a flag as true, false, 1 or 0, and nothing else", () => {
    expect(["true", "TRUE", "1", "false", "0"].map((value) => flag({ A: value }, "A"))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(() => flag({ A: "yes" }, "A")).toThrow(misconfigured("A must be true or false"));
  });
});
