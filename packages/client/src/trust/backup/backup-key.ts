import { BackupDecryptionKey } from "@matrix-org/matrix-sdk-crypto-wasm";
import { MatrixClientError } from "../../errors.ts";
import { encodeBase64 } from "../secrets/base64.ts";
import type { OpenSecretStorage } from "../secrets/open-secret-storage.ts";
import { decodeRecoveryKey } from "../secrets/recovery-key.ts";
import { keyFromPassphrase } from "../secrets/secret-cipher.ts";
import type { SecretStorage, StorageSecret } from "../secrets/secret-storage.ts";
import { type BackupVersion, opensBackup } from "./backup-version.ts";

/** The name of the backup's decryption key in secret storage. */
export const BACKUP_SECRET = "m.megolm_backup.v1";

/**
 * What opens a backup: a recovery key or passphrase, of secret storage or, in
 * older accounts, of the backup itself; secret storage that was opened already.
 */
export type BackupSecret =
  | StorageSecret
  | { readonly storage: OpenSecretStorage; readonly recoveryKey?: undefined; readonly passphrase?: undefined };

/**
 * The decryption key of a version.
 *
 * @throws `MatrixClientError` `WRONG_SECRET` where the secret leads to no key, or to the key of another backup;
 * what requests throw
 */
export async function findBackupKey(
  secret: BackupSecret,
  version: BackupVersion,
  secretStorage: SecretStorage,
  signal: AbortSignal | undefined,
): Promise<BackupDecryptionKey> {
  const own = await keyOfBackupItself(secret, version);
  if (own !== undefined) return own;
  const storage = "storage" in secret ? secret.storage : await openStorage(secret, secretStorage, signal);
  const stored = await storage.get(BACKUP_SECRET, signal);
  if (stored === undefined) {
    throw new MatrixClientError("NOT_SET_UP", "secret storage opens, but holds no key of a backup of room keys");
  }
  const key = parseBackupKey(stored);
  if (key !== undefined && opensBackup(key, version)) return key;
  key?.free();
  throw new MatrixClientError(
    "WRONG_SECRET",
    `the key in secret storage does not open version ${version.version} of the backup of room keys`,
  );
}

async function openStorage(
  secret: StorageSecret,
  secretStorage: SecretStorage,
  signal: AbortSignal | undefined,
): Promise<OpenSecretStorage> {
  const keyId = await secretStorage.defaultKeyId(signal);
  if (keyId !== undefined) return secretStorage.open(secret, { keyId, signal });
  throw new MatrixClientError("WRONG_SECRET", "this does not open the backup, and the account has no secret storage");
}

/** The key in base64; `undefined` for what is none. */
export function parseBackupKey(text: string): BackupDecryptionKey | undefined {
  try {
    return BackupDecryptionKey.fromBase64(text);
  } catch {
    return undefined;
  }
}

async function keyOfBackupItself(
  secret: BackupSecret,
  version: BackupVersion,
): Promise<BackupDecryptionKey | undefined> {
  const bytes = await ownKeyBytes(secret, version);
  const key = bytes && parseBackupKey(encodeBase64(bytes));
  if (key === undefined || opensBackup(key, version)) return key;
  key.free();
  return undefined;
}

async function ownKeyBytes(secret: BackupSecret, { auth_data }: BackupVersion): Promise<Uint8Array | undefined> {
  if (secret.recoveryKey !== undefined) return decodeRecoveryKey(secret.recoveryKey);
  const { private_key_salt: salt, private_key_iterations: iterations } = auth_data;
  if (secret.passphrase === undefined || salt === undefined || iterations === undefined) return undefined;
  return keyFromPassphrase(secret.passphrase, { salt, iterations, bits: 256 });
}
