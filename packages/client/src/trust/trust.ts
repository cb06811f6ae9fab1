import { type Logger, silentLogger } from "@holdfast/key-store-core";
import type { Encryption, RoomKey } from "../crypto/encryption.ts";
import type { SendToRoom } from "../crypto/outgoing.ts";
import type { HomeserverApi } from "../http/homeserver-api.ts";
import type { ProcessedToDevice } from "../sync/to-device.ts";
import type { UploadPace } from "./backup/backup-upload.ts";
import { type BackupState, KeyBackup } from "./backup/key-backup.ts";
import { CrossSigning } from "./cross-signing/cross-signing.ts";
import { RoomKeyTransfer } from "./room-keys/room-key-transfer.ts";
import { SecretStorage } from "./secrets/secret-storage.ts";
import { type SetUpOptions, type SetUpResult, setUp } from "./set-up.ts";
import { type VerificationPolicy, type VerificationRoomEvent, Verifications } from "./verification/verifications.ts";

/** What trust works on. */
export interface TrustParts {
  readonly api: HomeserverApi;
  readonly encryption: Encryption;
  /** Default: says nothing. */
  readonly logger?: Logger | undefined;
  /** Default: every request for verification is ignored, and named in the log. */
  readonly onVerificationRequest?: VerificationPolicy | undefined;
  /** Called when the backup of room keys goes on or off. */
  readonly onBackupState?: ((state: BackupState) => void) | undefined;
  /** How fast room keys go to the backup. */
  readonly backupPace?: UploadPace | undefined;
  /** Sends an event to a room, encrypted where the room is. Default: there are no verifications in rooms. */
  readonly sendToRoom?: SendToRoom | undefined;
}

/**
 * Whom this device trusts and who trusts it, and how its keys outlive it:
 * cross-signing, secret storage, the backup of room keys, verification, and room
 * keys as files. One for each opened device; it ends with it. Does no I/O until asked.
 */
export class Trust implements AsyncDisposable {
  readonly crossSigning: CrossSigning;
  readonly secretStorage: SecretStorage;
  readonly backup: KeyBackup;
  readonly verifications: Verifications;
  readonly roomKeys: RoomKeyTransfer;
  #closing: Promise<void> | undefined;

  constructor(parts: TrustParts) {
    const { api, encryption, logger = silentLogger } = parts;
    const { onBackupState: onState, backupPace: pace, onVerificationRequest: onRequest, sendToRoom } = parts;
    this.crossSigning = new CrossSigning({ api, encryption, logger });
    this.secretStorage = new SecretStorage({ api, userId: encryption.userId, logger });
    this.backup = new KeyBackup({ api, encryption, secretStorage: this.secretStorage, logger, pace, onState });
    this.verifications = new Verifications({ encryption, logger, onRequest, sendToRoom });
    const onImported = (keys: readonly RoomKey[]): void => this.backup.improved(keys);
    this.roomKeys = new RoomKeyTransfer({ encryption, logger, onImported });
  }

  /**
   * Takes up what was there before: the backup, and a backup's key that another
   * device has sent. To be called when the device is opened.
   *
   * @throws what requests and `Encryption.run` throw: the backup is then looked for again in the background
   */
  async resume(signal?: AbortSignal): Promise<void> {
    try {
      await this.backup.takeSentKey(signal);
      await this.backup.enable(signal);
    } catch (error) {
      this.backup.lookAgain();
      throw error;
    }
  }

  /**
   * Sets all of it up in one call: secret storage, cross-signing, this device's
   * signature, and the backup. What the account has is used, what it has not is
   * made, nothing is replaced; may be called at every start, and after a crash.
   *
   * @throws as `SecretStorage.open`, `CrossSigning.bootstrap` and `KeyBackup.create` do
   */
  setUp(options: SetUpOptions = {}): Promise<SetUpResult> {
    return setUp(this, options);
  }

  /** To be called with the messages between devices that a sync brought, when the engine has taken them in durably. */
  async receiveToDevice(messages: readonly ProcessedToDevice[]): Promise<void> {
    await this.verifications.receiveToDevice(messages);
    if (messages.some(({ type }) => type === "m.secret.send")) await this.backup.takeSentKey();
  }

  /** To be called with every event of a room's timeline, decrypted where it was encrypted. */
  receiveRoomEvent(event: VerificationRoomEvent): Promise<void> {
    return this.verifications.receiveRoomEvent(event);
  }

  /** Cancels verifications, and ends the uploads to the backup. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([this.verifications.close(), this.backup.close()]).then(() => {});
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
