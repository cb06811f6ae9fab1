import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/index.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeRecoveryKey } from "../src/trust/secrets/recovery-key.ts";
import { Trust } from "../src/trust/trust.ts";
import { Device, newUser, type User } from "./trust/device.ts";
import { exportedKeys, keyNames, makeRoomKeys } from "./trust/room-keys.ts";
import { newSdkClient, type SdkClient, startSdk } from "./trust/sdk-client.ts";
import { compare, requested } from "./trust/sdk-verification.ts";
import { accepting, verifying } from "./trust/verifying.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
  // The SDK waits up to ten seconds before it takes keys to a backup.
  Object.defineProperty(RustBackupManager, "maxBackupLoopStartDelayMillis", { value: 0 });
});
afterAll(() => homeserver.close());

const passwordOf = (user: User) => ({
  type: "m.login.password",
  identifier: { type: "m.id.user", user: user.userId },
  password: user.password,
});

describe("with matrix-js-sdk on another device of the account", () => {
  it("what is set up here is read there: secret storage, cross-signing and backup", async () => {
    const user = await newUser(homeserver, "alice");
    await using device = await Device.of(user);
    await using trust = new Trust(device);
    const keys = await makeRoomKeys(device, 3);
    let recoveryKey = "";
    const result = await trust.setUp({
      onRecoveryKey: (made) => {
        recoveryKey = made;
      },
    });
    expect(result).toEqual({
      crossSigning: "created",
      backup: { state: "on", version: "1" },
      secretStorage: true,
    });
    await trust.backup.upload();

    using sdk = await newSdkClient(user, {
      getSecretStorageKey: async ({ keys: wanted }) => [
        Object.keys(wanted)[0] ?? "",
        new Uint8Array(decodeRecoveryKey(recoveryKey)),
      ],
    });
    await startSdk(sdk);
    await sdk.crypto.bootstrapCrossSigning({});
    expect(await sdk.crypto.isCrossSigningReady()).toBe(true);
    expect(await sdk.crypto.isSecretStorageReady()).toBe(true);
    await sdk.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    expect(await sdk.crypto.restoreKeyBackup()).toMatchObject({ total: 3, imported: 3 });
    expect(keyNames(await sdk.crypto.exportRoomKeysAsJson())).toEqual(keys);
    const status = await sdk.crypto.getDeviceVerificationStatus(user.userId, device.deviceId);
    expect(status?.crossSigningVerified).toBe(true);
    expect(await trust.setUp({ recoveryKey })).toMatchObject({ crossSigning: "unchanged", secretStorage: true });
  });

  it("what is set up there is read here, by passphrase and by recovery key", async () => {
    const user = await newUser(homeserver, "alice");
    await using source = await Device.of(await newUser(homeserver, "source"));
    const keys = await makeRoomKeys(source, 3);
    const cached = new Map<string, Uint8Array<ArrayBuffer>>();
    using sdk = await newSdkClient(user, {
      cacheSecretStorageKey: (keyId, _, key) => void cached.set(keyId, key),
      getSecretStorageKey: async ({ keys: wanted }) => {
        const keyId = Object.keys(wanted)[0] ?? "";
        return [keyId, cached.get(keyId) ?? new Uint8Array()];
      },
    });
    await startSdk(sdk);
    await sdk.crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (request) => void (await request(passwordOf(user))),
    });
    const generated = await sdk.crypto.createRecoveryKeyFromPassphrase("open sesame");
    await sdk.crypto.bootstrapSecretStorage({
      createSecretStorageKey: async () => generated,
      setupNewKeyBackup: true,
    });
    await sdk.crypto.importRoomKeysAsJson(await source.encryption.run((machine) => machine.exportRoomKeys(() => true)));
    await backedUp(sdk, 3);

    await using byPassphrase = await Device.of(user);
    await using first = new Trust(byPassphrase);
    expect(await first.setUp({ passphrase: "open sesame" })).toEqual({
      crossSigning: "imported",
      backup: { state: "on", version: "1" },
      secretStorage: true,
    });
    expect(await exportedKeys(byPassphrase)).toEqual(keys);

    await using byRecoveryKey = await Device.of(user);
    await using second = new Trust(byRecoveryKey);
    const recoveryKey = generated.encodedPrivateKey ?? "";
    await second.backup.restore({ secret: { recoveryKey } });
    expect(await exportedKeys(byRecoveryKey)).toEqual(keys);
    await expect(second.secretStorage.open({ passphrase: "open says me" })).rejects.toMatchObject({
      code: "WRONG_SECRET",
    });
  });
});

/** Waits until the homeserver holds so many room keys. */
async function backedUp(sdk: SdkClient, count: number): Promise<void> {
  for (;;) {
    const remaining = new Promise((resolve) => sdk.client.once(CryptoEvent.KeyBackupSessionsRemaining, resolve));
    if ((await sdk.crypto.checkKeyBackupAndEnable())?.backupInfo.count === count) return;
    await remaining;
  }
}

describe("verification with matrix-js-sdk", () => {
  it("asked for here verifies both, and brings the private keys and the backup's key here", async () => {
    const user = await newUser(homeserver, "alice");
    await using old = await Device.of(user);
    await using keeper = new Trust(old);
    const recoveryKeys: string[] = [];
    await keeper.setUp({ onRecoveryKey: (made) => void recoveryKeys.push(made) });
    using sdk = await newSdkClient(user, {
      getSecretStorageKey: async ({ keys: wanted }) => [
        Object.keys(wanted)[0] ?? "",
        new Uint8Array(decodeRecoveryKey(recoveryKeys[0] ?? "")),
      ],
    });
    await startSdk(sdk);
    await sdk.crypto.bootstrapCrossSigning({});
    await sdk.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    await sdk.crypto.checkKeyBackupAndEnable();

    await using device = await Device.of(user);
    await using trust = new Trust(device);
    const received = Promise.withResolvers<void>();
    const verifications = verifying(device, {}, async (messages) => {
      await trust.receiveToDevice(messages);
      if (await trust.backup.hasKey()) received.resolve();
    });
    const asked = requested(sdk);
    const verification = await verifications.request(user.userId, sdk.deviceId);
    const request = await asked;
    await request.accept();
    await compare(verification, request);
    expect(await trust.crossSigning.status()).toMatchObject({ published: true, deviceSigned: true });
    const status = await sdk.crypto.getDeviceVerificationStatus(user.userId, device.deviceId);
    expect(status?.crossSigningVerified).toBe(true);
    await received.promise;
    expect(await trust.crossSigning.status()).toEqual({ published: true, privateKeys: true, deviceSigned: true });
    expect(await trust.backup.enable()).toEqual({ state: "on", version: "1" });
  });

  it("asked for there is accepted here by the policy", async () => {
    const user = await newUser(homeserver, "alice");
    await using device = await Device.of(user);
    await using trust = new Trust(device);
    await trust.crossSigning.bootstrap();
    const { onRequest, asked } = accepting();
    verifying(device, { onRequest });
    using sdk = await newSdkClient(user);
    await startSdk(sdk);
    const request = await sdk.crypto.requestDeviceVerification(user.userId, device.deviceId);
    const verification = await asked;
    await compare(verification, request, { sdkStarts: true });
    expect((await sdk.crypto.getCrossSigningStatus()).publicKeysOnDevice).toBe(true);
    const status = await sdk.crypto.getDeviceVerificationStatus(user.userId, device.deviceId);
    expect(status?.crossSigningVerified).toBe(true);
  });
});
