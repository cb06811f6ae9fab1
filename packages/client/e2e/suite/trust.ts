import { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/index.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";
import { beforeAll, expect, it } from "vitest";
import { decodeRecoveryKey } from "../../src/trust/secrets/recovery-key.ts";
import { newRecoveryKey } from "../../src/trust/secrets/secret-storage.ts";
import type { Verification } from "../../src/trust/verification/verification.ts";
import { compare, requested } from "../../test/trust/sdk-verification.ts";
import type { SdkParty } from "../support/sdk-party.ts";
import { Stage, type User } from "../support/stage.ts";
import type { There } from "./suite.ts";

/** How the SDK gets at secret storage. */
const withRecoveryKey = (recoveryKey: () => string) => ({
  getSecretStorageKey: async ({
    keys,
  }: {
    keys: Record<string, unknown>;
  }): Promise<[string, Uint8Array<ArrayBuffer>]> => [
    Object.keys(keys)[0] ?? "",
    new Uint8Array(decodeRecoveryKey(recoveryKey())),
  ],
});

export function trustSuite(there: There): void {
  beforeAll(() => {
    // The SDK waits up to ten seconds before it takes keys to a backup.
    Object.defineProperty(RustBackupManager, "maxBackupLoopStartDelayMillis", { value: 0 });
  });

  it("a backup of ours is restored by matrix-js-sdk, and by us on an empty store", async () => {
    await using stage = await Stage.on(there());
    const [user, bob] = [await stage.user("alice"), await stage.device("bob")];
    const device = await stage.logIn(user);
    const [ours, party] = [await stage.ours(device), await stage.party(bob)];
    const roomId = await stage.room([bob, device]);
    await party.sendText(roomId, "kept");
    await ours.until(() => ours.bodies.includes("kept"));
    let recoveryKey = "";
    const onRecoveryKey = (made: string): void => {
      recoveryKey = made;
    };
    const { trust } = ours.client;
    const set = await trust.setUp({ password: user.password, onRecoveryKey });
    expect(set).toMatchObject({ crossSigning: "created", backup: { state: "on" }, secretStorage: true });
    await trust.backup.upload();
    await ours.client.close();

    const sdk = await stage.sdk(await stage.logIn(user), { callbacks: withRecoveryKey(() => recoveryKey) });
    await sdk.crypto.userHasCrossSigningKeys(user.userId, true);
    await sdk.crypto.bootstrapCrossSigning({});
    await sdk.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await sdk.crypto.restoreKeyBackup();
    expect([restored.imported, restored.total]).toEqual([1, 1]);

    // A new device, whose store holds nothing.
    const fresh = await stage.ours(await stage.logIn(user), { deliverHistory: true });
    await fresh.until(() => fresh.undecryptable.length === 1);
    const progress: number[] = [];
    const secret = { recoveryKey };
    await expect(
      fresh.client.trust.backup.restore({ secret: { recoveryKey: newRecoveryKey() } }),
    ).rejects.toMatchObject({
      code: "WRONG_SECRET",
    });
    const result = await fresh.client.trust.backup.restore({
      secret,
      onProgress: ({ imported }) => void progress.push(imported),
    });
    expect(result).toMatchObject({ total: 1, imported: 1 });
    expect(progress.at(-1)).toBe(1);
    await fresh.until(() => fresh.messages.length === 1);
    expect(fresh.messages[0]).toMatchObject({ late: true, encrypted: true, content: { body: "kept" } });
  });

  it("a backup of matrix-js-sdk is restored by us on an empty store", async () => {
    await using stage = await Stage.on(there());
    const [user, bob] = [await stage.user("alice"), await stage.device("bob")];
    const device = await stage.logIn(user);
    const party = await stage.party(bob);
    let recoveryKey = "";
    const keep = (made: string): void => {
      recoveryKey = made;
    };
    const sdk = await stage.sdk(device, { callbacks: withRecoveryKey(() => recoveryKey) });
    const roomId = await stage.room([bob, device]);
    await party.sendText(roomId, "kept by the SDK");
    await sdk.reads("kept by the SDK");
    await setUpSdk(sdk, user, keep);
    await backedUp(sdk, 1);

    const fresh = await stage.ours(await stage.logIn(user), { deliverHistory: true });
    await fresh.until(() => fresh.undecryptable.length === 1);
    expect(await fresh.client.trust.setUp({ recoveryKey })).toMatchObject({
      crossSigning: "imported",
      backup: { state: "on" },
      secretStorage: true,
    });
    await fresh.until(() => fresh.messages.length === 1);
    expect(fresh.bodies).toEqual(["kept by the SDK"]);
    const status = await sdk.crypto.getUserDeviceInfo([user.userId], true);
    expect(status.get(user.userId)?.has(fresh.client.deviceId ?? "")).toBe(true);
    const trusted = await sdk.crypto.getDeviceVerificationStatus(user.userId, fresh.client.deviceId ?? "");
    expect(trusted?.crossSigningVerified).toBe(true);
  });

  it("room keys that matrix-js-sdk exported are read here, and ours there", async () => {
    await using stage = await Stage.on(there());
    const [user, bob] = [await stage.user("alice"), await stage.device("bob")];
    const device = await stage.logIn(user);
    const party = await stage.party(bob);
    const sdk = await stage.sdk(device);
    const roomId = await stage.room([bob, device]);
    await party.sendText(roomId, "in the file");
    await sdk.reads("in the file");
    const exported = await sdk.crypto.exportRoomKeysAsJson();

    const fresh = await stage.ours(await stage.logIn(user), { deliverHistory: true });
    await fresh.until(() => fresh.undecryptable.length === 1);
    const { roomKeys } = fresh.client.trust;
    const file = OlmMachine.encryptExportedRoomKeys(exported, "open sesame", 100_000);
    await expect(roomKeys.import(file, "open says me")).rejects.toMatchObject({ code: "WRONG_SECRET" });
    expect(await roomKeys.import(file, "open sesame")).toMatchObject({ total: 1, imported: 1 });
    await fresh.until(() => fresh.messages.length === 1);
    expect(fresh.bodies).toEqual(["in the file"]);

    const ownFile = await roomKeys.export("sesame again", { rounds: 100_000 });
    const back = OlmMachine.decryptExportedRoomKeys(ownFile, "sesame again");
    const other = await stage.sdk(await stage.logIn(user));
    await other.crypto.importRoomKeysAsJson(back);
    const names = (json: string) => (JSON.parse(json) as { session_id: string }[]).map(({ session_id }) => session_id);
    expect(names(await other.crypto.exportRoomKeysAsJson())).toEqual(names(exported));
  });

  it("verification by emoji that we ask matrix-js-sdk for makes each side trust the other", async () => {
    await using stage = await Stage.on(there());
    const [user, other] = [await stage.user("alice"), await stage.user("bob")];
    const ours = await stage.ours(await stage.logIn(user));
    const sdk = await stage.sdk(await stage.logIn(other));
    await ours.client.trust.crossSigning.bootstrap({ password: user.password });
    await sdk.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(other) });
    const roomId = await ours.client.createRoom({ encrypted: true, invite: [other.userId] });
    await sdk.client.joinRoom(roomId);
    await sdk.knows(roomId, [user]);
    await ours.say(roomId, "who are you?");
    await sdk.reads("who are you?");
    const asked = requested(sdk);
    const verification = await ours.client.trust.verifications.requestInRoom(roomId, other.userId);
    const request = await asked;
    await request.accept();
    await compare(verification, request);
    // It learns of its own signature from the homeserver.
    const status = () => sdk.crypto.getUserVerificationStatus(user.userId);
    await expect.poll(async () => (await status()).isCrossSigningVerified()).toBe(true);
    await sdk.say(roomId, "bob, as you have seen", [user]);
    await ours.until(() => ours.bodies.includes("bob, as you have seen"));
    expect(ours.messages.at(-1)?.trust).toMatchObject({ shield: "none", code: undefined });
  });

  it("verification by emoji that matrix-js-sdk asks for is accepted by the policy, and brings the backup's key", async () => {
    await using stage = await Stage.on(there());
    const user = await stage.user("alice");
    let recoveryKey = "";
    const keep = (made: string): void => {
      recoveryKey = made;
    };
    const sdk = await stage.sdk(await stage.logIn(user), { callbacks: withRecoveryKey(() => recoveryKey) });
    await setUpSdk(sdk, user, keep);
    const asked = Promise.withResolvers<Verification>();
    const ours = await stage.ours(await stage.logIn(user), {
      onVerificationRequest: (verification) => {
        asked.resolve(verification);
        return "accept";
      },
    });
    const deviceId = ours.client.deviceId ?? "";
    await expect
      .poll(async () => (await sdk.crypto.getUserDeviceInfo([user.userId], true)).get(user.userId)?.has(deviceId))
      .toBe(true);
    const request = await sdk.crypto.requestDeviceVerification(user.userId, deviceId);
    const verification = await asked.promise;
    await compare(verification, request, { sdkStarts: true });
    const status = await sdk.crypto.getDeviceVerificationStatus(user.userId, deviceId);
    expect(status?.crossSigningVerified).toBe(true);
    await expect.poll(() => ours.client.trust.backup.hasKey()).toBe(true);
    await expect
      .poll(() => ours.client.trust.crossSigning.status())
      .toEqual({ published: true, privateKeys: true, deviceSigned: true });
  });
}

const withPassword =
  (user: User) =>
  async (request: (auth: never) => Promise<unknown>): Promise<void> => {
    const identifier = { type: "m.id.user", user: user.userId };
    await request({ type: "m.login.password", identifier, password: user.password } as never);
  };

/** Lets the SDK make cross-signing keys, secret storage and a backup. */
async function setUpSdk(sdk: SdkParty, user: User, onRecoveryKey: (recoveryKey: string) => void): Promise<void> {
  await sdk.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(user) });
  const generated = await sdk.crypto.createRecoveryKeyFromPassphrase();
  onRecoveryKey(generated.encodedPrivateKey ?? "");
  await sdk.crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => generated, setupNewKeyBackup: true });
}

/** Waits until the homeserver holds so many room keys. */
async function backedUp(sdk: SdkParty, count: number): Promise<void> {
  for (;;) {
    const remaining = new Promise((resolve) => sdk.client.once(CryptoEvent.KeyBackupSessionsRemaining, resolve));
    if ((await sdk.crypto.checkKeyBackupAndEnable())?.backupInfo.count === count) return;
    await remaining;
  }
}
