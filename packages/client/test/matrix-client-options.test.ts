import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileWitness, silentLogger } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import { afterAll, describe, expect, it } from "vitest";
import { type KeyStoreFromEnvOptions, MatrixClient, type MatrixClientOptions } from "../src/index.ts";
import { checkOptions, type MatrixClientFromEnvOptions, optionsFromEnv } from "../src/matrix-client-options.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-options-"));
afterAll(() => rmSync(folder, { recursive: true }));

const KEY = new Uint8Array(32).fill(3);
const env = {
  MATRIX_USER_ID: "@bot:example.org",
  MATRIX_PASSWORD: "hunter2",
  MATRIX_DEVICE_ID: "BOT",
  KEY_STORE_ON_UNAVAILABLE: "wait",
  KEY_STORE_KEY: Buffer.from(KEY).toString("base64"),
  KEY_STORE_SQLITE_PATH: join(folder, "keys.sqlite"),
};

const fromEnv = (options: MatrixClientFromEnvOptions, more: Record<string, string> = {}) =>
  checkOptions(optionsFromEnv({ ...env, ...more }, options));

const config = (message: string) => expect.objectContaining({ code: "CONFIG", message });

describe("the options of a client from the environment", () => {
  it("are those of the variables where the program gives undefined", () => {
    const nothing = Object.fromEntries(
      ["homeserver", "userId", "deviceId", "accessToken", "password", "loginToken", "key", "passphrase", "plaintext"]
        .concat("keyStores", "onUnavailable", "logger", "lease", "label", "witness", "cacheBytes", "shareKeysWith")
        .map((name) => [name, undefined]),
    );
    const found = fromEnv(nothing);
    expect(found).toMatchObject({
      homeserver: "@bot:example.org",
      userId: "@bot:example.org",
      deviceId: "BOT",
      credentials: { type: "password", password: "hunter2" },
      onUnavailable: "wait",
      key: KEY,
      shareKeysWith: "all-devices",
    });
    expect(found.keyStores.map(({ name }) => name)).toEqual(["SQLite", "memory"]);
  });

  it("are those that the program gives, before the variables that say the same", () => {
    const own = new MemoryKeyStore();
    const found = fromEnv({
      homeserver: "https://matrix.example.com",
      userId: "@other:example.com",
      deviceId: "OTHER",
      accessToken: "syt_other",
      passphrase: "correct horse",
      onUnavailable: "fail",
      keyStores: [own],
    });
    expect(found).toMatchObject({
      homeserver: "https://matrix.example.com",
      userId: "@other:example.com",
      deviceId: "OTHER",
      credentials: { type: "access-token", accessToken: "syt_other" },
      passphrase: "correct horse",
      key: undefined,
      onUnavailable: "fail",
      keyStores: [own],
    });
  });

  it("need no variable for what the program gives", () => {
    const options = { userId: "@bot:example.org", loginToken: "once", key: KEY };
    const found = checkOptions(optionsFromEnv({ DATABASE_URL: "postgres://db/bot" }, options));
    expect(found).toMatchObject({
      homeserver: "@bot:example.org",
      credentials: { type: "login-token", token: "once" },
    });
    expect(found.keyStores.map(({ name }) => name)).toEqual(["PostgreSQL", "SQLite", "memory"]);
  });

  it("are those of its key stores too", async () => {
    const witness = join(folder, "witness");
    const { keyStores } = fromEnv({ label: "echo bot", witness: fileWitness(witness), cacheBytes: 0 });
    const [sqlite] = keyStores;
    const keyStore = sqlite !== undefined && "create" in sqlite ? await sqlite.create() : undefined;
    await using _ = keyStore;
    expect(await keyStore?.init()).toBe(true);
    const device = await keyStore?.openDevice({ userId: "@bot:example.org", deviceId: "BOT" });
    expect((await keyStore?.listDevices())?.map(({ holder }) => holder?.label)).toEqual(["echo bot"]);
    const [key, value] = [Uint8Array.of(1), Uint8Array.of(1)];
    await device?.commit([{ type: "put", collection: "sessions", key, value }]);
    await device?.close();
    expect(readdirSync(witness)).toHaveLength(1);
  });

  it.each<[string, KeyStoreFromEnvOptions]>([
    ["cacheBytes", { cacheBytes: -1 }],
    ["commitTimeoutMs", { commitTimeoutMs: 0 }],
    ["label", { label: 5 as unknown as string }],
    ["witness", { witness: {} as ReturnType<typeof fileWitness> }],
  ])("are refused at once where one of a key store is malformed: %s", (name, options) => {
    const message = expect.stringContaining(`the key store option ${name} must be`);
    expect(() => fromEnv(options)).toThrow(expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG", message }));
  });

  it("are refused where they are for key stores that are not made", () => {
    const options = { label: "echo bot", keyStores: [new MemoryKeyStore()] };
    expect(() => fromEnv(options)).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });

  it("are refused where a variable is malformed that counts", () => {
    const KEY_STORE_ON_UNAVAILABLE = "wiat";
    const message = "KEY_STORE_ON_UNAVAILABLE must be fallback, wait, fail";
    expect(() => fromEnv({}, { KEY_STORE_ON_UNAVAILABLE })).toThrow(
      expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG", message }),
    );
    expect(() => fromEnv({}, { DATABASE_URL: "postgres://bot:hunter2@[" })).toThrow(
      expect.objectContaining({
        code: "ERR_KEY_STORE_CONFIG",
        message: expect.stringMatching(/^DATABASE_URL is malformed/),
      }),
    );
    expect(() => fromEnv({ userId: "bot" })).toThrow(config("userId must be a full user id, such as @bot:example.org"));
  });
});

const valid = { homeserver: "https://example.org", userId: "@bot:example.org", password: "hunter2", key: KEY };
const pause = "a whole number of milliseconds from 1 to 2147483647";

describe("an option of a client", () => {
  it.each<[keyof MatrixClientOptions, unknown, string]>([
    ["onUnavailable", "wiat", '"fallback", "wait" or "fail"'],
    ["onUnavailable", "toString", '"fallback", "wait" or "fail"'],
    ["decryptionTrust", "crosssigned", '"untrusted", "cross-signed-or-legacy" or "cross-signed"'],
    ["shareKeysWith", "cross-signed-devices", '"all-devices", "signed-devices" or "verified-devices"'],
    ["lease", "tak", '"wait", "fail" or "take-over"'],
    ["waitMs", -1, "a number of milliseconds, 0 or more"],
    ["acceptRollback", "false", "true or false"],
    ["deliverHistory", 1, "true or false"],
    ["onVerificationRequest", "accept", "a function"],
    ["homeserver", "https//example.org", "a base URL, such as https://matrix.example.org, or a server name"],
    ["userId", "bot", "a full user id, such as @bot:example.org"],
    ["deviceId", "", "a string that is not empty"],
    ["keyStores", [], "a list of key stores, or of { name, create }, that is not empty"],
    ["keyStores", [MemoryKeyStore], "a list of key stores, or of { name, create }, that is not empty"],
    ["handlerConcurrency", 0, "a positive integer"],
    ["gapLimit", "1000", "a positive integer"],
    ["longPollMs", 2 ** 31, pause],
    ["awayPauseMs", 0.5, pause],
    ["probe", { firstMs: 0 }, `an object (firstMs: ${pause}; longestMs: ${pause})`],
    ["probe", 5, `an object (firstMs: ${pause}; longestMs: ${pause})`],
    ["logger", { info() {} }, "an object (debug: a function; info: a function; warn: a function; error: a function)"],
  ])("%s is refused at construction where it is %j, with what it may be", (name, value, is) => {
    const options: MatrixClientOptions = { ...valid, [name]: value };
    expect(() => new MatrixClient(options)).toThrow(config(`${name} must be ${is}`));
  });

  it("setUpTrust is refused at construction where a member of it is malformed, which is not repeated", () => {
    const setUpTrust = { recoveryKey: "EsTx secret", onRecoveryKey: "EsTx secret" as unknown as () => void };
    const making = () => new MatrixClient({ ...valid, setUpTrust });
    expect(making).toThrow(expect.objectContaining({ code: "CONFIG", message: expect.stringMatching(/^setUpTrust/) }));
    expect(making).not.toThrow(/EsTx/);
  });

  it.each([
    [{ lesae: "take-over" }, "lesae is not an option: lease may be meant"],
    [{ device_id: "BOT" }, "device_id is not an option: deviceId may be meant"],
    [{ pasphrase: "correct horse" }, "pasphrase is not an option: passphrase may be meant"],
    [{ colour: "red" }, "colour is not an option"],
    [{ probe: { fristMs: 5 } }, "probe.fristMs is not an option: probe.firstMs may be meant"],
    [
      { setUpTrust: { recoverykey: "EsTx secret" } },
      "setUpTrust.recoverykey is not an option: setUpTrust.recoveryKey may be meant",
    ],
  ])("is refused at construction where there is none of its name: %j", (given, message) => {
    expect(() => new MatrixClient({ ...valid, ...given } as MatrixClientOptions)).toThrow(config(message));
  });

  it("whose name is misspelt is refused beside an environment too, where key stores have options as well", () => {
    const making = (more: object) => () => MatrixClient.fromEnv(env, more);
    expect(making({ lesae: "take-over" })).toThrow(config("lesae is not an option: lease may be meant"));
    expect(making({ cacheByte: 0 })).toThrow(config("cacheByte is not an option: cacheBytes may be meant"));
    expect(() => new MatrixClient({ ...valid, cacheBytes: 0 } as MatrixClientOptions)).toThrow(
      config("cacheBytes is not an option"),
    );
  });

  it("plaintext is refused at construction where it is misspelt, beside a key too", () => {
    expect(() => new MatrixClient({ ...valid, plaintext: "alow" as "allow" })).toThrow(
      expect.objectContaining({ code: "ERR_KEY_STORE_CONFIG", message: 'plaintext is "allow" or nothing' }),
    );
  });

  it("may be undefined, and has its default then; all of them together are taken as they are", () => {
    const { homeserver, userId, password, ...defaults } = checkOptions({
      ...valid,
      lease: undefined,
      probe: undefined,
    });
    expect(defaults).toMatchObject({ onUnavailable: "fallback", shareKeysWith: "all-devices", longPollMs: 30_000 });
    const every: MatrixClientOptions = {
      ...valid,
      deviceId: "BOT",
      deviceDisplayName: "Bot",
      onUnavailable: "wait",
      logger: silentLogger,
      lease: "take-over",
      waitMs: 0,
      acceptRollback: true,
      decryptionTrust: "cross-signed",
      onVerificationRequest: () => "ignore",
      shareKeysWith: "verified-devices",
      setUpTrust: { password: "hunter2", onRecoveryKey: () => {}, signal: new AbortController().signal },
      deliverHistory: true,
      probe: { firstMs: 5 },
    };
    expect(checkOptions(every)).toMatchObject(every);
  });

  it("is what it was at construction, whatever becomes of the object that it came in", () => {
    const probe = { firstMs: 5 };
    const found = checkOptions({ ...valid, probe });
    probe.firstMs = 7;
    expect(found.probe).toEqual({ firstMs: 5 });
  });

  it("is missed where there are none", () => {
    const none = undefined as unknown as MatrixClientOptions;
    expect(() => new MatrixClient(none)).toThrow(config("a client takes an object of options"));
  });
});
