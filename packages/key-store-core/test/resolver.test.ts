import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { KeyStoreDriver } from "../src/driver.ts";
import { DriverKeyStore } from "../src/driver-key-store.ts";
import { KeyStoreError } from "../src/errors.ts";
import type { Logger } from "../src/logger.ts";
import { resolveKeyStore, waitUntilReady } from "../src/resolver.ts";

/** A driver that can do nothing but connect, or say why it cannot. */
function driver(name: string, mode: KeyStoreDriver["mode"], connect: () => Promise<void>): KeyStoreDriver {
  const unused = () => Promise.reject(new Error("not part of these tests"));
  return {
    kind: name.toLowerCase(),
    name,
    mode,
    persistence: mode === "ephemeral" ? "volatile" : "durable",
    connect: async () => {
      await connect();
      return { version: "1", schemaVersion: 1, storeId: "id" };
    },
    acquire: unused,
    listDevices: unused,
    deleteDevice: unused,
    usage: unused,
    disconnect: async () => {},
  };
}

const there = async () => {};
const away = async () => {
  throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "connection refused");
};

function lines(): Logger & { readonly log: string[] } {
  const log: string[] = [];
  const level = (name: string) => (message: string) => void log.push(`${name} ${message}`);
  return { log, debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
}

function stores(logger: Logger, postgres: () => Promise<void>, sqlite: () => Promise<void> = there) {
  return [
    new DriverKeyStore(driver("PostgreSQL", "production", postgres), { logger }),
    new DriverKeyStore(driver("SQLite", "development", sqlite), { logger }),
    new DriverKeyStore(driver("Memory", "ephemeral", there), { logger }),
  ] as const;
}

describe("resolving a key store", () => {
  it("takes the first that is ready, and says so", async () => {
    const logger = lines();
    const [postgres, ...others] = stores(logger, there);
    const resolved = await resolveKeyStore([postgres, ...others], { logger });
    expect(resolved).toEqual({
      keyStore: postgres,
      mode: "production",
      keyStoreAvailable: true,
      degraded: false,
      attempts: [{ name: "PostgreSQL", available: true, reason: undefined, code: undefined }],
    });
    expect(logger.log).toEqual([
      "info PostgreSQL key store ready: encryption keys persist",
      "info Using PostgreSQL store for production",
    ]);
  });

  it("falls back to the next, with the reason in the log and in the story, and closes the first", async () => {
    const logger = lines();
    const [postgres, sqlite, memory] = stores(logger, away);
    const resolved = await resolveKeyStore([postgres, sqlite, memory], { logger });
    expect(resolved).toMatchObject({ keyStore: sqlite, mode: "development", keyStoreAvailable: false, degraded: true });
    expect(resolved.attempts).toEqual([
      { name: "PostgreSQL", available: false, reason: "connection refused", code: "ERR_KEY_STORE_UNAVAILABLE" },
      { name: "SQLite", available: true, reason: undefined, code: undefined },
    ]);
    expect([postgres.status, memory.status]).toEqual([{ state: "closed" }, { state: "closed" }]);
    expect(logger.log).toEqual([
      "warn PostgreSQL key store unavailable: connection refused",
      "info SQLite key store ready: encryption keys persist",
      "info Using SQLite store for development",
    ]);
  });

  it("ends in memory, and says that nothing persists", async () => {
    const logger = lines();
    const resolved = await resolveKeyStore(stores(logger, away, away), { logger });
    expect(resolved).toMatchObject({ mode: "ephemeral", keyStoreAvailable: false, degraded: true });
    expect(logger.log.at(-1)).toBe("info Running in development mode without key persistence");
  });

  it.each([
    ["warn", "ERR_KEY_STORE_UNAVAILABLE"],
    ["error", "ERR_KEY_STORE_CONFIG"],
  ] as const)(
    "says in a line of level %s why a store without a logger of its own is passed over: %s",
    async (level, code) => {
      const refused = async () => {
        throw new KeyStoreError(code, "password authentication failed");
      };
      const logger = lines();
      const said = `${level} PostgreSQL key store unavailable: password authentication failed`;
      const [, , memory] = stores(logger, refused);
      const silent = new DriverKeyStore(driver("PostgreSQL", "production", refused));
      const resolved = await resolveKeyStore([silent, memory], { logger });
      expect(resolved).toMatchObject({ mode: "ephemeral", degraded: true });
      expect(resolved.attempts[0]).toMatchObject({ code, reason: "password authentication failed" });
      expect(logger.log).toEqual([said, "info Running in development mode without key persistence"]);

      const [telling, , other] = stores(logger, refused);
      await resolveKeyStore([telling, other], { logger });
      expect(logger.log.filter((line) => line === said)).toHaveLength(2);
      const lazy = {
        name: "PostgreSQL",
        create: async () => new DriverKeyStore(driver("PostgreSQL", "production", refused)),
      };
      await resolveKeyStore([lazy, stores(logger, there)[2]], { logger });
      expect(logger.log.filter((line) => line === said)).toHaveLength(3);
    },
  );

  it.each([[null], [[]], [[null]], [[undefined]], [["memory"]], [[{}]]])(
    "refuses what is no list of candidates: %o",
    async (candidates) => {
      await expect(resolveKeyStore(candidates as never)).rejects.toMatchObject({
        code: "ERR_KEY_STORE_INVALID_ARGUMENT",
      });
    },
  );

  it("refuses options and a logger that are none", async () => {
    const [, , memory] = stores(lines(), away);
    await expect(resolveKeyStore([memory], null as never)).rejects.toMatchObject({
      code: "ERR_KEY_STORE_INVALID_ARGUMENT",
    });
    const logger = { info() {} } as unknown as Logger;
    await expect(resolveKeyStore([memory], { logger })).rejects.toMatchObject({ code: "ERR_KEY_STORE_CONFIG" });
  });

  it("counts memory as available where it was asked for", async () => {
    const [, , memory] = stores(lines(), away);
    expect(await resolveKeyStore([memory])).toMatchObject({
      mode: "ephemeral",
      keyStoreAvailable: true,
      degraded: false,
    });
  });

  it("gives the store asked for, not ready, to a caller that rather waits", async () => {
    const logger = lines();
    let up = false;
    const [postgres, sqlite] = stores(logger, () => (up ? there() : away()));
    const resolved = await resolveKeyStore([postgres, sqlite], { onUnavailable: "wait", logger });
    expect(resolved).toMatchObject({ keyStore: postgres, mode: "waiting", keyStoreAvailable: false, degraded: false });
    const waiting = waitUntilReady(postgres, { maxPauseMs: 1 });
    up = true;
    await waiting;
    expect(postgres.status.state).toBe("ready");
    expect(resolved).toMatchObject({ mode: "production", keyStoreAvailable: true });
    expect(logger.log.at(-1)).toBe("info PostgreSQL key store ready: encryption keys persist");
  });

  it("stops waiting when it is told to", async () => {
    const [postgres] = stores(lines(), away);
    const stop = new AbortController();
    const waiting = waitUntilReady(postgres, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  it("fails with the story where a fallback was ruled out", async () => {
    const resolving = resolveKeyStore(stores(lines(), away), { onUnavailable: "fail" });
    await expect(resolving).rejects.toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
      message: "no key store is available (PostgreSQL: connection refused)",
    });
  });

  it("takes an adapter that is not installed for absence, and bad configuration for an error", async () => {
    const logger = lines();
    const [, sqlite] = stores(logger, there);
    const failing = (code: "ERR_KEY_STORE_UNAVAILABLE" | "ERR_KEY_STORE_CONFIG") => ({
      name: "PostgreSQL",
      create: () => Promise.reject(new KeyStoreError(code, "the reason")),
    });
    const resolved = await resolveKeyStore([failing("ERR_KEY_STORE_UNAVAILABLE"), sqlite], { logger });
    expect(resolved).toMatchObject({ keyStore: sqlite, degraded: true });
    expect(logger.log[0]).toBe("warn PostgreSQL key store unavailable: the reason");
    await expect(resolveKeyStore([failing("ERR_KEY_STORE_CONFIG"), sqlite])).rejects.toMatchObject({
      code: "ERR_KEY_STORE_CONFIG",
    });
  });

  it.each(["ERR_KEY_STORE_CORRUPT", "ERR_KEY_STORE_ROLLBACK", "ERR_KEY_STORE_SCHEMA_TOO_NEW"] as const)(
    "never passes over a store that is there and cannot be used: %s",
    async (code) => {
      const logger = lines();
      const damaged = async () => {
        throw new KeyStoreError(code, "the reason");
      };
      for (const onUnavailable of ["fallback", "wait", "fail"] as const) {
        const [postgres, sqlite] = stores(logger, damaged);
        await expect(resolveKeyStore([postgres, sqlite], { onUnavailable })).rejects.toMatchObject({ code });
        expect([postgres.status.state, sqlite.status.state]).toEqual(["closed", "closed"]);
      }
      expect(logger.log).toEqual(Array(3).fill("error PostgreSQL key store unavailable: the reason"));
      const [postgres] = stores(logger, damaged);
      await expect(waitUntilReady(postgres)).rejects.toMatchObject({ code });
    },
  );

  it("finds bad configuration of a store that it does not need", async () => {
    const [postgres] = stores(lines(), there);
    const wrong = {
      name: "SQLite",
      create: () => Promise.reject(new KeyStoreError("ERR_KEY_STORE_CONFIG", "no path")),
    };
    await expect(resolveKeyStore([postgres, wrong])).rejects.toMatchObject({ code: "ERR_KEY_STORE_CONFIG" });
  });

  it("gives up on a store that never answers, within its time limit", async () => {
    const silent = driver("PostgreSQL", "production", () => new Promise(() => {}));
    const store = new DriverKeyStore(silent, { connectTimeoutMs: 20 });
    expect(await store.init()).toBe(false);
    expect(store.status).toMatchObject({ state: "unavailable", reason: "PostgreSQL had no answer within 20 ms" });
  });
});

describe("a logger", () => {
  it("that throws breaks nothing", async () => {
    const full = () => {
      throw new Error("no space left on device");
    };
    const logger: Logger = { debug: full, info: full, warn: full, error: full };
    const [postgres, sqlite] = stores(logger, away);
    expect(await resolveKeyStore([postgres, sqlite], { logger })).toMatchObject({ keyStore: sqlite, degraded: true });
    await sqlite.close();
  });

  it.each([[{}], [null], ["console"], [{ ...lines(), error: undefined }]])("that is none is refused: %o", (logger) => {
    const options = { logger: logger as unknown as Logger };
    expect(() => new DriverKeyStore(driver("SQLite", "development", there), options)).toThrow(
      expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG" }),
    );
  });

  it("may be console or pino as they are", async () => {
    const written: string[] = [];
    const logger: Logger = pino({ base: null, timestamp: false }, { write: (line: string) => void written.push(line) });
    const loggers: Logger[] = [console, logger];
    expect(loggers).toHaveLength(2);
    await resolveKeyStore([new DriverKeyStore(driver("SQLite", "development", there), { logger })], { logger });
    expect(written.map((line) => JSON.parse(line).msg)).toEqual([
      "SQLite key store ready: encryption keys persist",
      "Using SQLite store for development",
    ]);
  });
});

describe("the options of a key store", () => {
  it.each([
    { connectTimeoutMs: 0 },
    { commitTimeoutMs: Number.NaN },
    { operationTimeoutMs: 2 ** 31 },
    { cacheBytes: -1 },
    { connectTimeoutMs: "5" as unknown as number },
  ])("are refused out of range: %o", (options) => {
    expect(() => new DriverKeyStore(driver("SQLite", "development", there), options)).toThrow(
      expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG" }),
    );
  });
});
