import type { BackupDecryptionKey, BackupKeys, OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";
import { parseObject } from "../../http/json.ts";
import type { SealedCollection } from "../../records/sealed-collection.ts";
import { BACKUP_SECRET, parseBackupKey } from "./backup-key.ts";
import { type BackupVersion, opensBackup } from "./backup-version.ts";

/** The backup that is about to be made: its key is durable before the homeserver knows of it. */
interface Intent extends JsonObject {
  readonly key: string;
}

/** The version that room keys were last taken to. */
interface Active extends JsonObject {
  readonly version: string;
}

const INTENT = Buffer.from("backup-intent");
const ACTIVE = Buffer.from("backup-active");

/**
 * What of the account's backup is on this device: the key that it has saved, the
 * version that its room keys go to, and the key of one that it is about to make.
 * Every method throws what `Encryption.run` throws.
 */
export class BackupOnDevice {
  readonly #encryption: Encryption;
  readonly #records: SealedCollection<JsonObject>;
  /** Where room keys go; `undefined` while they go nowhere. */
  #on: BackupVersion | undefined;

  constructor(encryption: Encryption) {
    this.#encryption = encryption;
    this.#records = encryption.collection<JsonObject>("trust");
  }

  /** The key that was saved, and of which version; both `undefined` where none was. */
  saved(): Promise<BackupKeys> {
    return this.#encryption.run((machine) => machine.getBackupKeys());
  }

  /** The key that was saved; `undefined` where it does not open this version. */
  async keyOf(version: BackupVersion): Promise<BackupDecryptionKey | undefined> {
    const { decryptionKey } = await this.saved();
    return decryptionKey !== undefined && opensBackup(decryptionKey, version) ? decryptionKey : undefined;
  }

  /** Room keys go to a version from now on, and its key is this device's. What was begun is done. */
  async adopt(version: BackupVersion, key: BackupDecryptionKey): Promise<void> {
    await this.#encryption.run(async (machine) => {
      await machine.saveBackupDecryptionKey(key, version.version);
      await this.#turnOn(machine, version);
      await this.#encryption.commit([this.#records.delete(INTENT)]);
    });
  }

  /** Room keys go to a version from now on, where this device has its key, or trusts who has signed it; answers whether they do. */
  turnOnIfTrusted(version: BackupVersion): Promise<boolean> {
    return this.#encryption.run(async (machine) => {
      const { decryptionKey } = await machine.getBackupKeys();
      if (decryptionKey !== undefined && opensBackup(decryptionKey, version)) {
        await machine.saveBackupDecryptionKey(decryptionKey, version.version);
      } else if (!(await machine.verifyBackup(version)).trusted()) {
        return false;
      }
      await this.#turnOn(machine, version);
      return true;
    });
  }

  /** Whether room keys go to a version. */
  async isActive(version: string): Promise<boolean> {
    return ((await this.#records.get(ACTIVE)) as Active | undefined)?.version === version;
  }

  /** Has the engine take all room keys for not uploaded. To be called inside a `run`. */
  async uploadAllAgain(machine: OlmMachine): Promise<void> {
    await machine.disableBackup();
    if (this.#on !== undefined) await machine.enableBackupV1(this.#on.auth_data.public_key, this.#on.version);
  }

  /** The keys of backups that other devices of the account have sent, and that were not looked at yet. */
  sentKeys(): Promise<ReadonlySet<string>> {
    return this.#encryption.run((machine) => machine.getSecretsFromInbox(BACKUP_SECRET));
  }

  /**
   * Deletes the keys that were looked at. The engine deletes all that were sent
   * (`delete_secrets_from_inbox` of matrix-sdk-crypto 0.19), of which another device may have sent the
   * right one meanwhile: where more have come, all stay.
   */
  deleteSentKeys(seen: ReadonlySet<string>): Promise<void> {
    return this.#encryption.run(async (machine) => {
      const sent = await machine.getSecretsFromInbox(BACKUP_SECRET);
      if ([...sent].every((key) => seen.has(key))) await machine.deleteSecretsFromInbox(BACKUP_SECRET);
    });
  }

  /** Room keys go nowhere from now on. */
  async turnOff(): Promise<void> {
    await this.#encryption.run(async (machine) => {
      this.#on = undefined;
      if (await machine.isBackupEnabled()) await machine.disableBackup();
      if ((await this.#records.get(ACTIVE)) === undefined) return;
      await this.#encryption.commit([this.#records.delete(ACTIVE)]);
    });
  }

  /** The key of a backup whose making was begun; `undefined` where none was. */
  async begun(): Promise<BackupDecryptionKey | undefined> {
    const intent = (await this.#records.get(INTENT)) as Intent | undefined;
    return intent && parseBackupKey(intent.key);
  }

  /** Begins to make a backup with this key. Answers with the signatures of its public part, when the key is durable. */
  begin(key: BackupDecryptionKey): Promise<JsonObject> {
    const public_key = key.megolmV1PublicKey.publicKeyBase64;
    return this.#encryption.run(async (machine) => {
      await this.#encryption.commit([this.#records.put(INTENT, { key: key.toBase64() })]);
      // One member: its JSON is canonical.
      return parseObject((await machine.sign(JSON.stringify({ public_key }))).asJSON()) ?? {};
    });
  }

  async #turnOn(machine: OlmMachine, current: BackupVersion): Promise<void> {
    const { version, auth_data } = current;
    this.#on = current;
    const active = (await this.#records.get(ACTIVE)) as Active | undefined;
    if (active?.version === version && (await machine.isBackupEnabled())) return;
    // What was taken to another version is to be taken to this one too.
    if (active?.version !== version) await machine.disableBackup();
    await machine.enableBackupV1(auth_data.public_key, version);
    await this.#encryption.commit([this.#records.put(ACTIVE, { version })]);
  }
}
