import { execFile } from "node:child_process";
import { chmod, chown, copyFile, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../src/index.ts";
import { observer, until } from "./server.ts";

const run = promisify(execFile);
const hasOpenssl = await run("openssl", ["version"]).then(
  () => true,
  () => false,
);
if (!hasOpenssl) console.warn("openssl is not installed: the tests of TLS are skipped");

describe.skipIf(!hasOpenssl)("TLS", () => {
  let server: DevPostgres;
  let directory: string;
  let certificate: string;
  let key: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-tls-"));
    certificate = join(directory, "server.crt");
    key = join(directory, "server.key");
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await run("openssl", ["req", "-x509", ...newKey, "-days", "2", ...subject, "-keyout", key, "-out", certificate]);
    server = await startPostgres();
    const { uid, gid } = await stat(server.dataDirectory);
    for (const file of ["server.crt", "server.key"]) {
      const target = join(server.dataDirectory, file);
      await copyFile(join(directory, file), target);
      await chmod(target, 0o600);
      await chown(target, uid, gid);
    }
    const sql = observer(server.url());
    await sql`alter system set ssl = on`;
    await sql`select pg_reload_conf()`;
    await until("the server has TLS", async () => (await sql`show ssl`)[0]?.ssl === "on");
    await sql.end();
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  /** The name resolves to 127.0.0.1, where the server listens, and stands in the certificate. */
  function url(query: string, host = "localhost"): string {
    return Object.assign(new URL(`${server.url()}?${query}`), { hostname: host }).href;
  }

  /** Whether the session of a store is encrypted. */
  async function isEncrypted(options: PostgresKeyStoreOptions): Promise<boolean> {
    await using store = new PostgresKeyStore({ ...options, applicationName: "watched" });
    expect(await store.init(), JSON.stringify(store.status)).toBe(true);
    await store.listDevices();
    const sql = observer(server.url());
    const rows = await sql`
      select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'watched'`;
    await sql.end();
    expect(rows.length).toBe(1);
    return rows[0]?.ssl;
  }

  async function reasonOf(options: PostgresKeyStoreOptions): Promise<string> {
    await using store = new PostgresKeyStore(options);
    expect(await store.init()).toBe(false);
    if (store.status.state !== "unavailable") throw new Error(store.status.state);
    expect(store.status.code).toBe("ERR_KEY_STORE_CONFIG");
    return store.status.reason;
  }

  it("is used where the server has it, and not where it must not be", async () => {
    expect(await isEncrypted({ url: url("") })).toBe(true);
    expect(await isEncrypted({ url: url("sslmode=require") })).toBe(true);
    expect(await isEncrypted({ url: url("sslmode=disable") })).toBe(false);
    expect(await isEncrypted({ url: url("sslmode=require"), tls: false })).toBe(false);
  });

  it("checks the certificate and its name where it should", async () => {
    const root = `sslrootcert=${encodeURIComponent(certificate)}`;
    expect(await isEncrypted({ url: url(`sslmode=verify-full&${root}`) })).toBe(true);
    expect(await isEncrypted({ url: url(`sslmode=verify-ca&${root}`, "127.0.0.1") })).toBe(true);
    expect(await reasonOf({ url: url(`sslmode=verify-full&${root}`, "127.0.0.1") })).toMatch(
      /ERR_TLS_CERT_ALTNAME_INVALID/,
    );
    expect(await reasonOf({ url: url("sslmode=verify-full") })).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT/);
    expect(await reasonOf({ url: url("sslmode=verify-ca") })).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT/);
    expect(await reasonOf({ url: url("sslmode=require&channel_binding=require") })).toMatch(
      /DEPTH_ZERO_SELF_SIGNED_CERT/,
    );
    expect(await reasonOf({ url: url(""), tls: {} })).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT/);
    expect(await isEncrypted({ url: url(""), tls: { rejectUnauthorized: false } })).toBe(true);
  });

  it("says which file is missing", async () => {
    expect(await reasonOf({ url: url("sslmode=verify-full&sslrootcert=/nowhere.crt") })).toMatch(/\/nowhere\.crt/);
    expect(await reasonOf({ url: url("sslrootcert=/nowhere.crt") })).toMatch(/\/nowhere\.crt/);
  });
});
