import { BACKUP_SECRET } from "./backup/backup-key.ts";
import type { BackupState } from "./backup/key-backup.ts";
import type { BootstrapOutcome } from "./cross-signing/cross-signing.ts";
import type { UserAuth } from "./cross-signing/user-interactive-auth.ts";
import type { OnImportProgress } from "./room-keys/import-progress.ts";
import type { OpenSecretStorage } from "./secrets/open-secret-storage.ts";
import { newRecoveryKey } from "./secrets/secret-storage.ts";
import type { Trust } from "./trust.ts";

/** How an account's encryption is set up as a whole. */
export interface SetUpOptions extends UserAuth {
  /** The recovery key of secret storage: opens it, or is what it is made with. */
  readonly recoveryKey?: string | undefined;
  /** The passphrase of secret storage, in the same way. */
  readonly passphrase?: string | undefined;
  /**
   * Given a new recovery key where the account has no secret storage, before
   * anything is made with it: it has to keep it. Without this, a recovery key
   * and a passphrase, secret storage is left alone.
   */
  readonly onRecoveryKey?: ((recoveryKey: string) => Promise<void> | void) | undefined;
  /** Room keys that the backup holds come to this device when it gets the backup's key. */
  readonly onProgress?: OnImportProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What setting up has come to. */
export interface SetUpResult {
  readonly crossSigning: BootstrapOutcome;
  readonly backup: BackupState;
  /** Whether secret storage is there and was opened. */
  readonly secretStorage: boolean;
}

/**
 * Sees to secret storage, then cross-signing, then the backup. Each of these is
 * used where the account has it, and made where it has none; none is replaced.
 */
export async function setUp(trust: Trust, options: SetUpOptions): Promise<SetUpResult> {
  const { password, auth, signal } = options;
  const storage = await openOrCreate(trust, options);
  const crossSigning = await trust.crossSigning.bootstrap({ password, auth, storage, signal });
  return { crossSigning, backup: await backUp(trust, storage, options), secretStorage: storage !== undefined };
}

async function openOrCreate(trust: Trust, options: SetUpOptions): Promise<OpenSecretStorage | undefined> {
  const { recoveryKey, passphrase, onRecoveryKey, signal } = options;
  const { secretStorage } = trust;
  const keyId = await secretStorage.defaultKeyId(signal);
  if (keyId !== undefined) {
    if (recoveryKey !== undefined) return secretStorage.open({ recoveryKey }, { keyId, signal });
    if (passphrase !== undefined) return secretStorage.open({ passphrase }, { keyId, signal });
    return undefined;
  }
  if (recoveryKey !== undefined || passphrase !== undefined) {
    return secretStorage.create({ recoveryKey, passphrase, signal });
  }
  if (onRecoveryKey === undefined) return undefined;
  const made = newRecoveryKey();
  await onRecoveryKey(made);
  return secretStorage.create({ recoveryKey: made, signal });
}

async function backUp(
  { backup }: Trust,
  storage: OpenSecretStorage | undefined,
  { onProgress, signal }: SetUpOptions,
): Promise<BackupState> {
  const state = await backup.enable(signal);
  if (state.state === "off" && state.reason === "none") {
    const { version } = await backup.create({ storage, signal });
    return { state: "on", version };
  }
  if (storage === undefined) return state;
  if (await backup.hasCurrentKey(signal)) {
    await backup.create({ storage, signal });
    return state;
  }
  if ((await storage.get(BACKUP_SECRET, signal)) === undefined) return state;
  await backup.restore({ secret: { storage }, onProgress, signal });
  return backup.enable(signal);
}
