import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import {
  deriveRecoveryKeyFromPassphrase,
  decodeRecoveryKey as sdkDecodeRecoveryKey,
  encodeRecoveryKey as sdkEncodeRecoveryKey,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import sdkOpen from "matrix-js-sdk/lib/utils/decryptAESSecretStorageItem.js";
import sdkSeal from "matrix-js-sdk/lib/utils/encryptAESSecretStorageItem.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeRecoveryKey, encodeRecoveryKey } from "../src/trust/secrets/recovery-key.ts";
import { keyCheck, keyFromPassphrase, keyMatches, openSecret, sealSecret } from "../src/trust/secrets/secret-cipher.ts";
import { newRecoveryKey, SecretStorage } from "../src/trust/secrets/secret-storage.ts";
import { Device, newUser } from "./trust/device.ts";
import { cutOnce } from "./trust/faults.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

async function newStorage() {
  const device = await Device.of(await newUser(homeserver, "alice"));
  return { device, storage: new SecretStorage({ api: device.api, userId: device.user.userId }) };
}

const accountData = (device: Device, type: string): string =>
  `/v3/user/${encodeURIComponent(device.user.userId)}/account_data/${type}`;

describe("a recovery key", () => {
  it("is written and read as matrix-js-sdk does", () => {
    const key = new Uint8Array(randomBytes(32));
    const text = encodeRecoveryKey(key);
    expect(text).toBe(sdkEncodeRecoveryKey(key));
    expect(new Uint8Array(sdkDecodeRecoveryKey(text))).toEqual(key);
    expect(decodeRecoveryKey(text)).toEqual(key);
    expect(decodeRecoveryKey(`\n ${text.replaceAll(" ", "")}\t`)).toEqual(key);
  });

  it.each([
    ["a letter changed", (text: string) => `${text.slice(0, 10)}${text[10] === "a" ? "b" : "a"}${text.slice(11)}`],
    ["its end missing", (text: string) => text.slice(0, -3)],
    ["a letter that base58 has not", (text: string) => `${text.slice(0, -1)}0`],
    ["nothing in it", () => ""],
  ])("is refused with %s", (_, mistake) => {
    const text = mistake(encodeRecoveryKey(new Uint8Array(32).fill(5)));
    expect(() => decodeRecoveryKey(text)).toThrow(expect.objectContaining({ code: "WRONG_SECRET" }));
  });
});

describe("a secret", () => {
  it("is sealed as matrix-js-sdk seals it, and opens what that sealed", async () => {
    const key = new Uint8Array(randomBytes(32));
    const ours = sealSecret(key, "m.cross_signing.master", "ü secret");
    expect(await sdkOpen(ours, key, "m.cross_signing.master")).toBe("ü secret");
    expect(openSecret(key, "m.cross_signing.master", await sdkSeal("theirs", key, "m.cross_signing.master"))).toBe(
      "theirs",
    );
    expect((Buffer.from(ours.iv, "base64")[8] ?? 0) & 0x80).toBe(0);
  });

  it("does not open under another key, another name, or after a change", () => {
    const key = new Uint8Array(32).fill(1);
    const sealed = sealSecret(key, "name", "secret");
    const wrong = expect.objectContaining({ code: "WRONG_SECRET" });
    expect(() => openSecret(new Uint8Array(32).fill(2), "name", sealed)).toThrow(wrong);
    expect(() => openSecret(key, "other", sealed)).toThrow(wrong);
    expect(() => openSecret(key, "name", { ...sealed, ciphertext: "AAAAAAAA" })).toThrow(wrong);
    expect(() => openSecret(key, "name", { ...sealed, iv: "AA" })).toThrow(wrong);
    expect(() => openSecret(key, "name", { ...sealed, mac: "?" })).toThrow(wrong);
  });

  it("has a key that is recognised by its check, and by none other", () => {
    const key = new Uint8Array(32).fill(1);
    expect(keyMatches(key, keyCheck(key))).toBe(true);
    expect(keyMatches(new Uint8Array(32).fill(2), keyCheck(key))).toBe(false);
    expect(keyMatches(key, { iv: "", mac: "" })).toBe(false);
  });

  it("has the key of a passphrase that matrix-js-sdk has", async () => {
    const ours = await keyFromPassphrase("pässphrase", { salt: "salt", iterations: 1_000, bits: 256 });
    expect(ours).toEqual(await deriveRecoveryKeyFromPassphrase("pässphrase", "salt", 1_000));
  });
});

describe("secret storage", () => {
  it("keeps secrets under a key that its recovery key opens again", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    expect(await storage.defaultKeyId()).toBeUndefined();
    await expect(storage.open({ recoveryKey: newRecoveryKey() })).rejects.toMatchObject({ code: "NOT_SET_UP" });
    const made = await storage.create();
    expect(await made.get("m.megolm_backup.v1")).toBeUndefined();
    await made.set("m.megolm_backup.v1", "a secret");
    const opened = await storage.open({ recoveryKey: made.recoveryKey });
    expect([opened.keyId, await opened.get("m.megolm_backup.v1")]).toEqual([made.keyId, "a secret"]);
    expect(await storage.defaultKeyId()).toBe(made.keyId);
  });

  it("is opened by its passphrase too, and by no other", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    const made = await storage.create({ passphrase: "correct horse", name: "the bot's" });
    expect((await storage.open({ passphrase: "correct horse" })).recoveryKey).toBe(made.recoveryKey);
    expect((await storage.open({ recoveryKey: made.recoveryKey })).recoveryKey).toBe(made.recoveryKey);
    await expect(storage.open({ passphrase: "wrong horse" })).rejects.toMatchObject({ code: "WRONG_SECRET" });
    await expect(storage.open({ recoveryKey: newRecoveryKey() })).rejects.toMatchObject({ code: "WRONG_SECRET" });
    const description = await device.api.request("GET", accountData(device, `m.secret_storage.key.${made.keyId}`));
    expect(description).toMatchObject({
      algorithm: "m.secret_storage.v1.aes-hmac-sha2",
      name: "the bot's",
      passphrase: { algorithm: "m.pbkdf2", iterations: 500_000, bits: 256 },
    });
  });

  it("takes a recovery key that its user has already", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    const recoveryKey = newRecoveryKey();
    expect((await storage.create({ recoveryKey })).recoveryKey).toBe(recoveryKey);
    await expect(storage.open({ passphrase: "none" })).rejects.toMatchObject({ code: "WRONG_SECRET" });
  });

  it("is not replaced, unless that is said", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    const first = await storage.create();
    await expect(storage.create()).rejects.toMatchObject({ code: "ALREADY_SET_UP" });
    expect(await storage.defaultKeyId()).toBe(first.keyId);
    const second = await storage.create({ replace: true });
    expect(await storage.defaultKeyId()).toBe(second.keyId);
    expect((await storage.open({ recoveryKey: first.recoveryKey }, { keyId: first.keyId })).keyId).toBe(first.keyId);
  });

  it("is not taken for absent while the homeserver cannot say", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    const made = await storage.create();
    {
      using _cut = cutOnce(homeserver, "/account_data/{type}", "before", "GET");
      await expect(storage.create()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    expect(await storage.defaultKeyId()).toBe(made.keyId);
  });

  it("passes over what is malformed, and knows a key without a check by what is stored under it", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    const made = await storage.create();
    await made.set("m.megolm_backup.v1", "a secret");
    const put = (type: string, body: object) =>
      device.api.request("PUT", accountData(device, type), { body: body as Record<string, string> });
    await put("m.cross_signing.master", { encrypted: { [made.keyId]: { iv: 7 } } });
    expect(await made.get("m.cross_signing.master")).toBeUndefined();
    await put("m.cross_signing.master", { encrypted: "what" });
    expect(await made.get("m.cross_signing.master")).toBeUndefined();
    await put(`m.secret_storage.key.${made.keyId}`, { algorithm: "m.secret_storage.v1.aes-hmac-sha2" });
    expect((await storage.open({ recoveryKey: made.recoveryKey })).keyId).toBe(made.keyId);
    await expect(storage.open({ recoveryKey: newRecoveryKey() })).rejects.toMatchObject({ code: "WRONG_SECRET" });
    await put(`m.secret_storage.key.${made.keyId}`, { algorithm: "org.example.unknown" });
    await expect(storage.open({ recoveryKey: made.recoveryKey })).rejects.toMatchObject({ code: "NOT_SET_UP" });
    await put("m.secret_storage.default_key", { key: 7 });
    expect(await storage.defaultKeyId()).toBeUndefined();
  });

  it.each([
    ["both a recovery key and a passphrase", { recoveryKey: newRecoveryKey(), passphrase: "x" }, "CONFIG"],
    ["an empty passphrase", { passphrase: "" }, "CONFIG"],
    ["a malformed recovery key", { recoveryKey: "EsTc" }, "WRONG_SECRET"],
  ])("is not made with %s", async (_, options, code) => {
    const { device, storage } = await newStorage();
    await using __ = device;
    await expect(storage.create(options)).rejects.toMatchObject({ code });
    expect(await storage.defaultKeyId()).toBeUndefined();
  });

  it("shows its key to nobody who prints it", async () => {
    const { device, storage } = await newStorage();
    await using _ = device;
    const recoveryKey = newRecoveryKey();
    const made = await storage.create({ recoveryKey });
    const printed = `${inspect(made, { depth: 9, showHidden: true })} ${JSON.stringify(made)} ${String(made)}`;
    expect(printed.includes(recoveryKey)).toBe(false);
    expect(printed.includes(Buffer.from(decodeRecoveryKey(recoveryKey)).toString("hex").slice(0, 8))).toBe(false);
  });
});
