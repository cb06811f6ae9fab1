import { isDeepStrictEqual } from "node:util";
import { type Logger, silentLogger } from "@holdfast/key-store-core";
import { BackupDecryptionKey } from "@matrix-org/matrix-sdk-crypto-wasm";
import { Mutex } from "async-mutex";
import type { Encryption, RoomKey } from "../../crypto/encryption.ts";
import { MatrixClientError } from "../../errors.ts";
import type { HomeserverApi } from "../../http/homeserver-api.ts";
import type { ImportProgress } from "../room-keys/import-progress.ts";
import { decodeBase64 } from "../secrets/base64.ts";
import type { OpenSecretStorage } from "../secrets/open-secret-storage.ts";
import { encodeRecoveryKey } from "../secrets/recovery-key.ts";
import type { SecretStorage } from "../secrets/secret-storage.ts";
import { BACKUP_SECRET, findBackupKey, parseBackupKey } from "./backup-key.ts";
import { BackupLook } from "./backup-look.ts";
import { BackupOnDevice } from "./backup-on-device.ts";
import { BackupRestore, type RestoreOptions } from "./backup-restore.ts";
import { BackupUpload, type UploadPace } from "./backup-upload.ts";
import { type BackupVersion, BackupVersions, opensBackup } from "./backup-version.ts";

/**
 * Whether room keys go to a backup. `"off"`: there is none; there is one that
 * nobody trusted has signed; or what was used is not the current one any more.
 */
export type BackupState =
  | { readonly state: "on"; readonly version: string }
  | { readonly state: "off"; readonly reason: "none" | "untrusted" | "superseded" };

/** How a backup is made. */
export interface CreateBackupOptions {
  /** Secret storage, opened: the backup's key goes there. */
  readonly storage?: OpenSecretStorage | undefined;
  /** Makes a version although there is one that this device has no key of; the other stays, and is current no more. Default: `false`. */
  readonly replace?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A backup that was made. */
export interface CreatedBackup {
  readonly version: string;
  /** Opens the backup where its key is not in secret storage: to be shown to its user and to nobody else. */
  readonly recoveryKey: string;
}

/** What a backup works on. */
export interface KeyBackupParts {
  readonly api: HomeserverApi;
  readonly encryption: Encryption;
  readonly secretStorage: SecretStorage;
  readonly logger?: Logger | undefined;
  readonly pace?: UploadPace | undefined;
  /** Called when the backup goes on or off, or to another version. */
  readonly onState?: ((state: BackupState) => void) | undefined;
}

/** The account's backup of room keys on its homeserver (Matrix specification, "Server-side key backups"). */
export class KeyBackup {
  readonly #secretStorage: SecretStorage;
  readonly #logger: Logger;
  readonly #onState: (state: BackupState) => void;
  readonly #versions: BackupVersions;
  readonly #onDevice: BackupOnDevice;
  readonly #upload: BackupUpload;
  readonly #restore: BackupRestore;
  readonly #look: BackupLook;
  readonly #oneAtATime = new Mutex();
  readonly #closing = new AbortController();
  /** What was said last: of its state to whom it concerns, of a version that nobody trusted has signed in the log. */
  readonly #said: { state?: BackupState; untrusted?: string } = {};
  readonly #stopListening: () => void;

  constructor(parts: KeyBackupParts) {
    const { api, encryption, secretStorage, logger = silentLogger, pace = {}, onState = () => {} } = parts;
    this.#secretStorage = secretStorage;
    this.#logger = logger;
    this.#onState = onState;
    this.#versions = new BackupVersions(api);
    this.#onDevice = new BackupOnDevice(encryption);
    const onSuperseded = (errcode: string): Promise<void> => this.#superseded(errcode);
    const onDevice = this.#onDevice;
    this.#upload = new BackupUpload({ encryption, onDevice, logger, pace, onSuperseded });
    this.#restore = new BackupRestore({ api, encryption, onDevice, onImproved: (keys) => this.improved(keys) });
    this.#look = new BackupLook({
      look: async (signal) => (await this.enable(signal)).state === "on",
      logger,
      firstMs: pace.lookAgainMs ?? 30_000,
    });
    this.#stopListening = encryption.onRoomKeys(() => this.#upload.kick());
  }

  /**
   * Turns the backup on where the homeserver has one that can be trusted: this
   * device has its key, or it is signed by this device, the account's verified
   * identity, or a verified device of the account. Off in all other cases.
   *
   * @throws what requests and `Encryption.run` throw: the backup then stays as it was
   */
  enable(signal?: AbortSignal): Promise<BackupState> {
    return this.#oneAtATime.runExclusive(() => this.#enable(signal));
  }

  /**
   * Makes a backup, or finishes one that was begun, and turns it on. For a
   * backup that this device has the key of it only sees that the key is in secret storage.
   *
   * @throws `MatrixClientError` `ALREADY_SET_UP` where there is a backup that this device has no key of, unless
   * `replace` is said; what requests and `Encryption.run` throw
   */
  create(options: CreateBackupOptions = {}): Promise<CreatedBackup> {
    return this.#oneAtATime.runExclusive(() => this.#create(options));
  }

  /**
   * Brings the room keys in the backup to this device, in batches of one commit
   * each, keeps the backup's key, and turns the backup on. The whole backup is
   * downloaded before the first batch.
   *
   * @throws `MatrixClientError` `NOT_SET_UP` where there is no backup, or no secret was given and this device has none;
   * `WRONG_SECRET` where the secret does not open it; what requests and `Encryption.run` throw
   */
  async restore(options: RestoreOptions = {}): Promise<ImportProgress> {
    const { signal } = options;
    const { version, key } = await this.#oneAtATime.runExclusive(async () => {
      const current = await this.#versions.current(signal);
      if (current === undefined) throw new MatrixClientError("NOT_SET_UP", "this account has no backup of room keys");
      const found =
        options.secret === undefined
          ? await this.#savedKey(current)
          : await findBackupKey(options.secret, current, this.#secretStorage, signal);
      await this.#adopt(current, found);
      return { version: current.version, key: found };
    });
    return this.#restore.all(version, key, options);
  }

  /**
   * Fetches one room key from the backup, for an event that came before its key.
   * `false` where this device has no key of the backup, or the backup does not hold
   * the room key, which it is then not asked for again for five minutes. The
   * homeserver is asked once, and waited for 10 s at most.
   *
   * @throws what requests and `Encryption.run` throw: the room key may then be there; an `AbortError` when it is closed
   */
  async fetchKey(roomId: string, sessionId: string, signal?: AbortSignal): Promise<boolean> {
    const { decryptionKey: key, backupVersion: version } = await this.#onDevice.saved();
    if (key === undefined || version === undefined) return false;
    const closing = this.#closing.signal;
    const until = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    return this.#restore.one({ key, version }, roomId, sessionId, until);
  }

  /** Whether this device has the key of a backup, so that it can read what is in it. */
  async hasKey(): Promise<boolean> {
    return (await this.#onDevice.saved()).decryptionKey !== undefined;
  }

  /**
   * Whether this device has the key of the current backup.
   *
   * @throws what requests and `Encryption.run` throw
   */
  async hasCurrentKey(signal?: AbortSignal): Promise<boolean> {
    const current = await this.#versions.current(signal);
    return current !== undefined && (await this.#onDevice.keyOf(current)) !== undefined;
  }

  /**
   * Takes a backup's key that another device of the account has sent, as it does
   * after a verification. Answers whether one was taken.
   *
   * @throws what requests and `Encryption.run` throw: what was sent then waits for the next call
   */
  async takeSentKey(signal?: AbortSignal): Promise<boolean> {
    return this.#oneAtATime.runExclusive(async () => {
      for (let taken = false; ; ) {
        const sent = await this.#onDevice.sentKeys();
        if (sent.size === 0) return taken;
        const current = await this.#versions.current(signal);
        const keys = [...sent].map(parseBackupKey);
        const key = current && keys.find((candidate) => candidate !== undefined && opensBackup(candidate, current));
        if (current !== undefined && key !== undefined) await this.#adopt(current, key);
        else this.#logger.warn("A key of a backup was sent by another device, and opens no backup: it is dropped");
        taken ||= key !== undefined;
        await this.#onDevice.deleteSentKeys(sent);
      }
    });
  }

  /** Better copies of room keys have come from elsewhere than a backup. To be called inside the `run` that brings them. */
  improved(keys: readonly RoomKey[]): void {
    this.#upload.improved(keys);
  }

  /**
   * Uploads what is not in the backup yet, now. It is done in the background too, whenever room keys come.
   *
   * @throws what requests and `Encryption.run` throw
   */
  async upload(signal?: AbortSignal): Promise<void> {
    await this.#upload.drain(signal);
  }

  /** Deletes the current version and all that is in it; a version from before is then current. */
  async deleteCurrent(signal?: AbortSignal): Promise<void> {
    await this.#oneAtATime.runExclusive(async () => {
      const current = await this.#versions.current(signal);
      if (current === undefined) return;
      await this.#versions.delete(current.version, signal);
      await this.#turnOff("none");
    });
  }

  /** Looks in the background for a backup that can be used, with growing pauses, until there is one. */
  lookAgain(): void {
    this.#look.begin();
  }

  /** Ends what runs in the background, and what is asked of the backup for single events. Idempotent. */
  async close(): Promise<void> {
    this.#stopListening();
    this.#closing.abort();
    await Promise.all([this.#upload.close(), this.#look.close()]);
  }

  async #enable(signal: AbortSignal | undefined): Promise<BackupState> {
    const current = await this.#versions.current(signal);
    if (current === undefined) return this.#turnOff("none");
    if (await this.#onDevice.turnOnIfTrusted(current)) return this.#turnedOn(current);
    if (this.#said.untrusted !== current.version) {
      this.#said.untrusted = current.version;
      this.#logger.warn(
        `Version ${current.version} of the backup of room keys is signed by nobody whom this device trusts: no room keys go to it before it is restored with its recovery key, or this device verified by another one`,
      );
    }
    return this.#turnOff("untrusted");
  }

  async #create({ storage, replace = false, signal }: CreateBackupOptions): Promise<CreatedBackup> {
    const current = await this.#versions.current(signal);
    const begun = await this.#onDevice.begun();
    if (current !== undefined && begun !== undefined && opensBackup(begun, current)) {
      return this.#created(current, begun, storage, signal);
    }
    if (current !== undefined && !replace) {
      const key = await this.#onDevice.keyOf(current);
      if (key !== undefined) return this.#created(current, key, storage, signal);
      throw new MatrixClientError(
        "ALREADY_SET_UP",
        `the account has a backup of room keys (version ${current.version}) that this device has no key of: restore it, or say that it is to be replaced`,
      );
    }
    const key = begun ?? BackupDecryptionKey.createRandomKey();
    const { algorithm, publicKeyBase64: public_key } = key.megolmV1PublicKey;
    const signatures = await this.#onDevice.begin(key);
    const version = await this.#versions.create({ algorithm, auth_data: { public_key, signatures } }, signal);
    return this.#created({ version, algorithm, auth_data: { public_key } }, key, storage, signal);
  }

  async #created(
    version: BackupVersion,
    key: BackupDecryptionKey,
    storage: OpenSecretStorage | undefined,
    signal: AbortSignal | undefined,
  ): Promise<CreatedBackup> {
    const text = key.toBase64();
    if (storage !== undefined && (await storage.get(BACKUP_SECRET, signal)) !== text) {
      await storage.set(BACKUP_SECRET, text, signal);
    }
    await this.#adopt(version, key);
    return { version: version.version, recoveryKey: encodeRecoveryKey(decodeBase64(text) ?? new Uint8Array()) };
  }

  async #adopt(version: BackupVersion, key: BackupDecryptionKey): Promise<void> {
    await this.#onDevice.adopt(version, key);
    this.#turnedOn(version);
  }

  #turnedOn({ version }: BackupVersion): BackupState {
    this.#upload.kick();
    return this.#say({ state: "on", version });
  }

  async #turnOff(reason: "none" | "untrusted" | "superseded"): Promise<BackupState> {
    await this.#onDevice.turnOff();
    return this.#say({ state: "off", reason });
  }

  #say(state: BackupState): BackupState {
    if (isDeepStrictEqual(state, this.#said.state)) return state;
    this.#said.state = state;
    if (state.state === "on") this.#logger.info(`Room keys go to version ${state.version} of their backup`);
    this.#onState(state);
    return state;
  }

  async #superseded(errcode: string): Promise<void> {
    this.#logger.warn(
      `The backup of room keys is not the current one any more (${errcode}): it is off, and the current one is looked for`,
    );
    await this.#oneAtATime.runExclusive(() => this.#turnOff("superseded"));
    this.#look.begin();
  }

  async #savedKey(current: BackupVersion): Promise<BackupDecryptionKey> {
    const { decryptionKey } = await this.#onDevice.saved();
    if (decryptionKey === undefined) {
      throw new MatrixClientError("NOT_SET_UP", "this device has no key of the backup: say the recovery key");
    }
    if (opensBackup(decryptionKey, current)) return decryptionKey;
    throw new MatrixClientError("WRONG_SECRET", "the key on this device is of another backup than the current one");
  }
}
