import { type Change, isKeyStoreError } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMatrixClientError, MatrixClient, openOlmMachine } from "../src/index.ts";
import { createSeal } from "../src/records/seal.ts";
import { anything, budget, fuzzTimeout } from "./support/fuzz.ts";

const DEVICE = { userId: "@bot:example.org", deviceId: "BOT" };
const KEY = new Uint8Array(32).fill(7);

/** Bytes that somebody else has put in place of ours. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  anything.map((value) => Buffer.from(JSON.stringify(value) ?? "")),
  fc
    .record({
      version: fc.constantFrom<unknown>(1, 2, "1"),
      kind: fc.constantFrom<unknown>("key", "passphrase", "plaintext", 7),
      check: anything,
      salt: anything,
      N: fc.constantFrom<unknown>(2, 3, 2 ** 20, 2 ** 40, -1, "16384"),
      r: fc.constantFrom<unknown>(1, 8, 2 ** 20),
      p: fc.constantFrom<unknown>(1, 2 ** 20),
    })
    .map((record) => Buffer.from(JSON.stringify(record))),
);

describe("stored bytes of any kind", () => {
  it("in place of a sealed record are called corrupt", () => {
    const seal = createSeal(DEVICE, KEY);
    fc.assert(
      fc.property(bytes, fc.string(), (stored, collection) => {
        expect(() => seal.open(collection, KEY, stored)).toThrow(
          expect.objectContaining({ code: "ERR_KEY_STORE_CORRUPT" }),
        );
      }),
      budget(500),
    );
  });

  it(
    "in place of the record of the store's key keep the device closed, with an error that says which it is",
    async () => {
      await fc.assert(
        fc.asyncProperty(bytes, fc.boolean(), async (value, withPassphrase) => {
          await using keyStore = new MemoryKeyStore();
          await keyStore.init();
          const store = await keyStore.openDevice(DEVICE);
          const lock: Change = { type: "put", collection: "client", key: Buffer.from("store-key"), value };
          await store?.commit([lock]);
          await store?.close();
          const atRest = withPassphrase ? { passphrase: "correct horse" } : { key: KEY };
          const failure = await openOlmMachine({ keyStore, ...DEVICE, ...atRest }).catch((error: unknown) => error);
          expect(isKeyStoreError(failure) && failure.code).toMatch(/^ERR_KEY_STORE_(CORRUPT|WRONG_KEY)$/);
          expect(String((failure as Error).message)).not.toContain("correct horse");
        }),
        budget(100),
      );
    },
    fuzzTimeout(60_000),
  );
});

const SECRET = "s3cr3t-Pa55";
const VARIABLES = [
  "USE_POSTGRES_STORE",
  "POSTGRESQL_ADDON_URI",
  "POSTGRESQL_ADDON_HOST",
  "POSTGRESQL_ADDON_PORT",
  "POSTGRESQL_ADDON_PASSWORD",
  "DATABASE_URL",
  "PGSSLMODE",
  "KEY_STORE_SQLITE_PATH",
  "KEY_STORE_LABEL",
  "KEY_STORE_WITNESS_PATH",
  "KEY_STORE_ON_UNAVAILABLE",
  "KEY_STORE_KEY",
  "KEY_STORE_KEY_FILE",
  "KEY_STORE_PASSPHRASE",
  "KEY_STORE_PLAINTEXT",
  "MATRIX_HOMESERVER",
  "MATRIX_USER_ID",
  "MATRIX_ACCESS_TOKEN",
  "MATRIX_PASSWORD",
  "MATRIX_PASSWORD_FILE",
  "MATRIX_DEVICE_ID",
];
const values = fc.oneof(
  fc.constantFrom(
    "",
    "true",
    "0",
    "https://matrix.example.org",
    "@bot:example.org",
    "/",
    "postgres://",
    "wait",
    "allow",
  ),
  fc.constantFrom(
    SECRET,
    `${SECRET}\n`,
    ` ${SECRET}`,
    `postgres://u:${SECRET}@h:99999/d`,
    `postgres://u:${SECRET}@[::1/d`,
  ),
  fc.constantFrom(`http://u:${SECRET}@`, `@bot:${SECRET} x`, `/nowhere/${SECRET}`, `postgres://u:%${SECRET}@h/d`),
  fc.string({ maxLength: 30, unit: "binary" }),
);

describe("configuration of any kind", () => {
  it("from the environment makes a client, or an error that names variables and shows no secret", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...VARIABLES), values), (env) => {
        try {
          MatrixClient.fromEnv(env);
        } catch (error) {
          if (!isMatrixClientError(error, "CONFIG") && !isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")) throw error;
          expect(shown(error)).not.toContain(SECRET);
        }
      }),
      budget(2_000),
    );
  });

  it("as a connection string makes a store, or an error that shows no secret", () => {
    const part = fc.constantFrom("h", "h:5432", "h:0", ":", "[::1]", "a,b", "", "%zz", "h:99999", "\u0000", " ");
    const query = fc.constantFrom(
      "",
      "?sslmode=require",
      "?sslmode=perhaps",
      "?port=x",
      `?password=${SECRET}`,
      "?x=1",
      "?%",
    );
    const url = fc
      .tuple(fc.constantFrom("postgres://", "postgresql://", "mysql://", ""), part, fc.string({ maxLength: 8 }), query)
      .map(([scheme, host, database, rest]) => `${scheme}u:${SECRET}@${host}/${database}${rest}`);
    fc.assert(
      fc.property(fc.oneof(url, values), (text) => {
        try {
          new PostgresKeyStore(text);
        } catch (error) {
          if (!isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")) throw error;
          expect(shown(error)).not.toContain(SECRET);
        }
      }),
      budget(2_000),
    );
  });

  it("as the path of a file makes a store, or an error", () => {
    fc.assert(
      fc.property(fc.oneof(values, anything), (path) => {
        try {
          new SqliteKeyStore({ path: path as string });
        } catch (error) {
          expect(isKeyStoreError(error, "ERR_KEY_STORE_CONFIG")).toBe(true);
        }
      }),
      budget(500),
    );
  });
});

/** All that a log of an error would have, with what caused it. */
function shown(error: unknown): string {
  const { message, stack, cause } = error as Error;
  return `${message}\n${stack}\n${JSON.stringify(error)}${cause === undefined ? "" : `\n${shown(cause)}`}`;
}
