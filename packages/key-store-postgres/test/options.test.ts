import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import postgres from "postgres";
import { describe, expect, it } from "vitest";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../src/index.ts";
import { postgresPlan } from "../src/options.ts";
import { parseConnectionUrl } from "../src/url.ts";

describe("a connection URL", () => {
  it("is read as libpq reads it", () => {
    expect(parseConnectionUrl("postgres://us%65r:p%40ss%2F@db.example:6000/my%20db?application_name=bot")).toEqual({
      user: "user",
      password: "p@ss/",
      host: "db.example",
      port: 6000,
      database: "my db",
      applicationName: "bot",
    });
    expect(parseConnectionUrl("postgresql://[::1]/db")).toEqual({ host: "::1", database: "db" });
    expect(parseConnectionUrl("postgres://user@/db?host=/run/pg")).toEqual({
      user: "user",
      host: "/run/pg",
      database: "db",
    });
    expect(parseConnectionUrl("postgres://%2Frun%2Fpg/db")).toEqual({ host: "/run/pg", database: "db" });
    expect(parseConnectionUrl("postgres:///db?dbname=other&user=u&password=p&port=1")).toEqual({
      database: "other",
      user: "u",
      password: "p",
      port: 1,
    });
    expect(parseConnectionUrl("postgres://")).toEqual({});
    expect(parseConnectionUrl("postgres://h:6000/d?user=bot@tenant&application_name=a@b")).toEqual({
      host: "h",
      port: 6000,
      database: "d",
      user: "bot@tenant",
      applicationName: "a@b",
    });
  });

  const modes = [
    ["", undefined],
    ["sslmode=disable", "disable"],
    ["sslmode=allow", "prefer"],
    ["sslmode=prefer", "prefer"],
    ["sslmode=require", "require"],
    ["ssl=true", "require"],
    ["sslmode=verify-ca", "verify-ca"],
    ["sslmode=verify-full", "verify-full"],
    ["sslmode=require&channel_binding=require", "verify-full"],
    ["sslmode=require&channel_binding=prefer", "require"],
  ] as const;
  for (const [query, mode] of modes) {
    it(`with ${query || "no sslmode"} means ${mode ?? "no choice"}`, () => {
      expect(parseConnectionUrl(`postgres://h/d?${query}`).sslmode).toBe(mode);
    });
  }
});

it("names a parameter that is not known", () => {
  expect(() => parseConnectionUrl("postgres://h/d?ssl_mode=require")).toThrow(/not known here: ssl_mode$/);
});

describe("bad configuration", () => {
  const secret = "hunter2";
  const bad: [string, unknown][] = [
    ["another scheme", `mysql://u:${secret}@h/d`],
    ["no URL at all", secret],
    ["a password that breaks the URL", `postgres://u:${secret}/#?@h:port/d`],
    ["a password that is not UTF-8", `postgres://u:${secret}%FF@h/d`],
    ["a port out of range", `postgres://u:${secret}@h:0/d`],
    ["several hosts", `postgres://u:${secret}@h1,h2/d`],
    ["an unknown sslmode", `postgres://u:${secret}@h/d?sslmode=maybe`],
    ["an unknown parameter", `postgres://u:${secret}@h/d?ssl_mode=require`],
    ["a password with a ? in it", `postgres://bot:?${secret}@db.example.org/keys`],
    ["a password with a ? behind digits", `postgres://bot:2024?${secret}@db.example.org/keys`],
    ["a password with a ? and a =", `postgres://bot:?a=${secret}@db.example.org/keys`],
    ["a password with a # behind digits", `postgres://bot:2024#${secret}@db.example.org/keys`],
    ["a password with a / behind digits", `postgres://bot:2024/${secret}@db.example.org/keys`],
    ["a password with an @ and a /", `postgres://bot:20@24/${secret}@db.example.org/keys`],
    ["a parameter that is no name", `postgres://bot@db.example.org/keys?${secret}`],
    ["nothing", undefined],
    ["null", null],
    ["a number", 5432],
    ["url and host", { url: `postgres://u:${secret}@h/d`, host: "h" }],
    ["a port that is text", { port: "5432", password: secret }],
    ["a password that is a number", { password: 5 }],
    ["an empty schema", { schema: "", password: secret }],
    ["a schema of the server's own", { schema: "pg_catalog", password: secret }],
    ["a schema whose name is too long", { schema: "x".repeat(64), password: secret }],
    ["a tls that is true", { tls: true, password: secret }],
    ["no connections", { maxConnections: 0, password: secret }],
    ["a lease of no time", { leaseMs: 0, password: secret }],
    ["a heartbeat that is a number", { heartbeat: 5, password: secret }],
    ["an unknown durability", { durability: "none", password: secret }],
    ["an unknown choice of prepared statements", { preparedStatements: "yes", password: secret }],
    ["a time limit that is text", { connectTimeoutMs: "5s", password: secret }],
    ["a client that is none", { sql: {} }],
    ["a client without options", { sql: Object.assign(() => {}, { unsafe() {}, reserve() {} }) }],
    ["a client that renames columns", { sql: postgres({ transform: postgres.camel }) }],
    ["a client and an address", { sql: postgres(), host: "h" }],
  ];
  for (const [what, options] of bad) {
    it(`throws at construction, and tells no secret: ${what}`, () => {
      let error: unknown;
      try {
        new PostgresKeyStore(options as PostgresKeyStoreOptions);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ name: "KeyStoreError", code: "ERR_KEY_STORE_CONFIG", retryable: false });
      expect(JSON.stringify([String(error), (error as Error).stack, (error as Error).cause])).not.toContain(secret);
    });
  }
});

it.skipIf(process.getuid?.() !== 0)("asks for a user where the one that runs the process has no name", async () => {
  const program = fileURLToPath(new URL("programs/nameless.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 20_000 });
  expect(JSON.parse(stdout)).toEqual([
    ["ERR_KEY_STORE_CONFIG", "no user is given, and the user that runs this process has no name here: give one"],
    "made",
  ]);
});

describe("the options", () => {
  it("are complete, copied and frozen", () => {
    const options = { host: "h", user: "u", schema: "s" };
    const plan = postgresPlan(options);
    options.schema = "changed";
    expect(plan).toMatchObject({
      connection: {
        address: { host: "h", port: 5432 },
        tls: { mode: "prefer" },
        login: { user: "u", database: "u", password: undefined, applicationName: "holdfast" },
      },
      schema: "s",
      maxConnections: 4,
      leaseMs: 15_000,
      heartbeat: true,
      preparedStatements: "auto",
      durable: true,
      connectTimeoutMs: 5_000,
      operationTimeoutMs: 10_000,
      commitTimeoutMs: 30_000,
    });
    expect(Object.isFrozen(plan)).toBe(true);
  });
});
