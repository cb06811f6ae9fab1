import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import type { Logger } from "@holdfast/key-store-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapterCandidate } from "../src/adapters.ts";
import { keyStoreFromEnv } from "../src/index.ts";

const KEY_STORE_KEY = Buffer.alloc(32, 1).toString("base64");

const folder = mkdtempSync(join(tmpdir(), "holdfast-env-"));
let postgres: DevPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
});

afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function lines(): Logger & { readonly log: string[] } {
  const log: string[] = [];
  const level = (name: string) => (message: string) => void log.push(`${name} ${message}`);
  return { log, debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
}

/** A port of this machine on which nothing listens. */
async function closedPort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return String(typeof address === "object" && address?.port);
}

describe("the key store of an environment", () => {
  it("is PostgreSQL in production, and says so", async () => {
    const logger = lines();
    const env = { USE_POSTGRES_STORE: "true", POSTGRESQL_ADDON_URI: await postgres.createDatabase(), KEY_STORE_KEY };
    const { keyStore, ...found } = await keyStoreFromEnv(env, { logger });
    await using _ = keyStore;
    expect(found).toEqual({
      mode: "production",
      keyStoreAvailable: true,
      degraded: false,
      attempts: [{ name: "PostgreSQL", available: true, reason: undefined, code: undefined }],
      key: new Uint8Array(Buffer.alloc(32, 1)),
      device: undefined,
    });
    expect(await keyStore.stats()).toMatchObject({ kind: "postgres", status: { state: "ready" } });
    expect(logger.log).toEqual([
      "info PostgreSQL key store ready: encryption keys persist",
      "info Using PostgreSQL store for production",
    ]);
  });

  it("is SQLite where PostgreSQL is away: no crash, the reason in the log, keyStoreAvailable false", async () => {
    const logger = lines();
    const KEY_STORE_SQLITE_PATH = join(folder, "fallback.sqlite");
    const port = await closedPort();
    const env = {
      USE_POSTGRES_STORE: "true",
      POSTGRESQL_ADDON_HOST: "127.0.0.1",
      POSTGRESQL_ADDON_PORT: port,
      KEY_STORE_KEY,
      KEY_STORE_SQLITE_PATH,
    };
    const { keyStore, ...found } = await keyStoreFromEnv(env, { logger });
    await using _ = keyStore;
    expect(found).toMatchObject({ mode: "development", keyStoreAvailable: false, degraded: true });
    expect(existsSync(KEY_STORE_SQLITE_PATH)).toBe(true);
    expect(logger.log).toEqual([
      expect.stringMatching(`warn PostgreSQL key store unavailable: .*${port}`),
      "info SQLite key store ready: encryption keys persist",
      "info Using SQLite store for development",
    ]);
  });

  it("is SQLite where nothing else is configured, for the device that is named", async () => {
    const { keyStore, ...found } = await keyStoreFromEnv({
      KEY_STORE_SQLITE_PATH: join(folder, "plain.sqlite"),
      MATRIX_USER_ID: "@bot:example.org",
      MATRIX_DEVICE_ID: "BOT",
    });
    await using _ = keyStore;
    expect(keyStore.kind).toBe("sqlite");
    expect(found).toMatchObject({
      mode: "development",
      keyStoreAvailable: true,
      degraded: false,
      device: { userId: "@bot:example.org", deviceId: "BOT" },
    });
  });

  it("is memory at the last, and says that nothing persists", async () => {
    const logger = lines();
    const env = { USE_POSTGRES_STORE: "false", KEY_STORE_SQLITE_PATH: "/dev/null/holdfast.sqlite" };
    const { keyStore, ...found } = await keyStoreFromEnv(env, { logger });
    await using _ = keyStore;
    expect(keyStore.kind).toBe("memory");
    expect(found).toMatchObject({ mode: "ephemeral", keyStoreAvailable: false, degraded: true });
    expect(logger.log.at(-1)).toBe("info Running in development mode without key persistence");
  });

  it("waits for PostgreSQL, or fails, where that is asked for", async () => {
    const env = { PGHOST: "127.0.0.1", PGPORT: await closedPort(), KEY_STORE_KEY };
    const { keyStore, ...found } = await keyStoreFromEnv({ ...env, KEY_STORE_ON_UNAVAILABLE: "wait" });
    await using _ = keyStore;
    expect(keyStore.status).toMatchObject({ state: "unavailable", code: "ERR_KEY_STORE_UNAVAILABLE" });
    expect(found).toMatchObject({ mode: "waiting", keyStoreAvailable: false, degraded: false });
    await expect(keyStoreFromEnv({ ...env, KEY_STORE_ON_UNAVAILABLE: "fail" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
    });
  });

  it("is waited for where the program says so, whatever the variable says", async () => {
    const env = { PGHOST: "127.0.0.1", PGPORT: await closedPort(), KEY_STORE_KEY, KEY_STORE_ON_UNAVAILABLE: "fail" };
    const found = await keyStoreFromEnv(env, { onUnavailable: "wait" });
    await using _ = found.keyStore;
    expect(found.mode).toBe("waiting");
    await expect(keyStoreFromEnv(env, { onUnavailable: undefined })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
    });
  });

  it("shows leases under the label of the program, before that of the environment", async () => {
    const env = { KEY_STORE_SQLITE_PATH: join(folder, "label.sqlite"), KEY_STORE_LABEL: "bot of the environment" };
    const labels: (string | undefined)[] = [];
    for (const label of ["bot of the program", undefined]) {
      const { keyStore } = await keyStoreFromEnv(env, { label });
      await using _ = keyStore;
      await keyStore.openDevice({ userId: "@bot:localhost", deviceId: "BOT" });
      labels.push((await keyStore.listDevices())[0]?.holder?.label);
    }
    expect(labels).toEqual(["bot of the program", "bot of the environment"]);
  });

  it("is refused where an older copy of it was put back, and a witness is configured", async () => {
    const [path, witness] = [join(folder, "witnessed.sqlite"), join(folder, "witness")];
    const env = { KEY_STORE_SQLITE_PATH: path, KEY_STORE_WITNESS_PATH: witness };
    const device = { userId: "@bot:localhost", deviceId: "BOT" };
    for (const value of [1, 2]) {
      const { keyStore } = await keyStoreFromEnv(env);
      const opened = await keyStore.openDevice(device);
      const [key, bytes] = [Uint8Array.of(1), Uint8Array.of(value)];
      await opened?.commit([{ type: "put", collection: "sessions", key, value: bytes }]);
      await keyStore.close();
      if (value === 1) copyFileSync(path, `${path}.copy`);
    }
    copyFileSync(`${path}.copy`, path);
    const { keyStore } = await keyStoreFromEnv(env);
    await using _ = keyStore;
    await expect(keyStore.openDevice(device)).rejects.toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    const unwitnessed = await keyStoreFromEnv({ KEY_STORE_SQLITE_PATH: path });
    await using _other = unwitnessed.keyStore;
    expect((await unwitnessed.keyStore.openDevice(device))?.revision).toBe(1n);
    expect(readdirSync(witness)).toHaveLength(1);
  });

  it("does not show the key when it is logged", async () => {
    const found = await keyStoreFromEnv({ KEY_STORE_SQLITE_PATH: join(folder, "logged.sqlite"), KEY_STORE_KEY });
    await using _ = found.keyStore;
    expect(found.key).toEqual(new Uint8Array(32).fill(1));
    expect(JSON.parse(JSON.stringify(found))).toEqual({
      kind: "sqlite",
      mode: "development",
      keyStoreAvailable: true,
      degraded: false,
      attempts: [{ name: "SQLite", available: true }],
      encrypted: true,
    });
    expect(inspect(found)).not.toMatch(/key:|Uint8Array/);
  });

  it("never stands in for a file that is there and damaged", async () => {
    const KEY_STORE_SQLITE_PATH = join(folder, "damaged.sqlite");
    writeFileSync(KEY_STORE_SQLITE_PATH, "this was a key store once");
    await expect(keyStoreFromEnv({ KEY_STORE_SQLITE_PATH })).rejects.toMatchObject({ code: "ERR_KEY_STORE_CORRUPT" });
    expect(readFileSync(KEY_STORE_SQLITE_PATH, "utf8")).toBe("this was a key store once");
  });

  it.each([
    ["PostgreSQL without a key", { PGHOST: "127.0.0.1" }, /KEY_STORE_KEY/],
    ["an address that is none", { DATABASE_URL: "postgres://[", KEY_STORE_KEY }, /./],
    [
      "an address of no engine",
      { DATABASE_URL: "postgress://bot:x@db.example.org/bot", KEY_STORE_KEY },
      /DATABASE_URL/,
    ],
    ["an unknown policy", { KEY_STORE_ON_UNAVAILABLE: "retry" }, /KEY_STORE_ON_UNAVAILABLE/],
  ])("is refused before anything is tried: %s", async (_, env, message) => {
    await expect(keyStoreFromEnv(env)).rejects.toMatchObject({
      code: "ERR_KEY_STORE_CONFIG",
      message: expect.stringMatching(message),
    });
  });
});

describe("an adapter that is not installed", () => {
  it("is a reason that says how to install it, not a crash", async () => {
    const missing = adapterCandidate("PostgreSQL", "@holdfast/key-store-nowhere", () => {
      throw new Error("there is nothing to make it of");
    });
    await expect(missing.create()).rejects.toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
      message: "the adapter is not installed: npm install @holdfast/key-store-nowhere",
    });
  });

  it("is not confused with one that is installed and broken", async () => {
    const broken = adapterCandidate(
      "SQLite",
      "broken",
      () => undefined as never,
      async () => {
        throw new Error("invalid ELF header");
      },
    );
    await expect(broken.create()).rejects.toMatchObject({
      message: "the adapter broken could not be loaded: invalid ELF header",
    });
  });
});
