export {
  type CollectionUsage,
  type DeviceRef,
  type DeviceStatus,
  type DeviceStore,
  type DeviceSummary,
  type EngineInfo,
  fileWitness,
  isKeyStoreError,
  type KeyStore,
  type KeyStoreCandidate,
  KeyStoreError,
  type KeyStoreErrorCode,
  type KeyStoreMode,
  type KeyStoreOptions,
  type KeyStoreStats,
  type KeyStoreStatus,
  type KeyStoreUsage,
  type LazyKeyStore,
  type LeaseHolder,
  type LeaseSummary,
  type Logger,
  type OnUnavailable,
  type OpenDeviceOptions,
  type Persistence,
  type ProcessCounters,
  type ResolveAttempt,
  type ResolvedKeyStore,
  type RollbackWitness,
  resolveKeyStore,
  waitUntilReady,
} from "@holdfast/key-store-core";
export type { ClientMode, ModeEvent } from "./availability/client-mode.ts";
export type { ClientStats, ClientStatus } from "./client-status.ts";
export type { AtRest } from "./config/at-rest.ts";
export type { Environment } from "./config/variables.ts";
export type { SenderTrust } from "./crypto/decrypt.ts";
export type { DeviceIdentity } from "./crypto/identity-guard.ts";
export type { Handler } from "./delivery/handlers.ts";
export type { OlmEngine } from "./engine/olm-engine.ts";
export { type OpenOlmMachineOptions, openOlmMachine } from "./engine/open-olm-machine.ts";
export { isMatrixClientError, MatrixClientError, type MatrixClientErrorCode } from "./errors.ts";
export type {
  DeliveredEvents,
  ErrorEvent,
  IncomingEvent,
  InviteEvent,
  KnockEvent,
  MatrixClientEvents,
  ToDeviceEvent,
  UndecryptableEvent,
} from "./events.ts";
export type {
  DownloadOptions,
  HomeserverApi,
  Json,
  JsonObject,
  RequestOptions,
  UploadOptions,
} from "./http/homeserver-api.ts";
export { HomeserverError, isHomeserverError } from "./http/homeserver-error.ts";
export { type KeyStoreFromEnv, type KeyStoreFromEnvOptions, keyStoreFromEnv } from "./key-store-from-env.ts";
export { MatrixClient } from "./matrix-client.ts";
export type { MatrixClientFromEnvOptions, MatrixClientOptions } from "./matrix-client-options.ts";
export { type MatrixStats, matrixStats } from "./matrix-stats.ts";
export type { CreateRoomOptions, JoinOptions, MembershipOptions } from "./rooms/room-actions.ts";
export type { MessageContent, ReplyTarget } from "./send/content.ts";
export type { ShareKeysWith } from "./send/key-sharing.ts";
export type { Messages, OutgoingFile } from "./send/messages.ts";
export type { SendOptions } from "./send/outbox.ts";
export type { Sent } from "./send/outbox-item.ts";
export type { RoomEvent, StrippedEvent } from "./sync/room-update.ts";
export type { BackupSecret } from "./trust/backup/backup-key.ts";
export type { RestoreOptions } from "./trust/backup/backup-restore.ts";
export type { BackupState, CreateBackupOptions, CreatedBackup, KeyBackup } from "./trust/backup/key-backup.ts";
export type {
  BootstrapOptions,
  BootstrapOutcome,
  CrossSigning,
  CrossSigningStatus,
} from "./trust/cross-signing/cross-signing.ts";
export type { AuthCallback, AuthChallenge, UserAuth } from "./trust/cross-signing/user-interactive-auth.ts";
export type { ImportProgress, OnImportProgress } from "./trust/room-keys/import-progress.ts";
export {
  type ExportOptions,
  type ImportOptions,
  type RoomKeyTransfer,
  sealRoomKeys,
} from "./trust/room-keys/room-key-transfer.ts";
export type { OpenSecretStorage, SecretName } from "./trust/secrets/open-secret-storage.ts";
export {
  type CreateSecretStorageOptions,
  newRecoveryKey,
  type SecretStorage,
  type StorageSecret,
} from "./trust/secrets/secret-storage.ts";
export type { SetUpOptions, SetUpResult } from "./trust/set-up.ts";
export type { Trust } from "./trust/trust.ts";
export type { DecryptionTrust } from "./trust/trust-requirement.ts";
export type { ShortAuthString, VerificationEmoji } from "./trust/verification/short-auth-string.ts";
export type { Verification } from "./trust/verification/verification.ts";
export type { VerificationCancelled, VerificationState } from "./trust/verification/verification-flow.ts";
export type {
  VerificationDecision,
  VerificationPolicy,
  Verifications,
  VerifyOptions,
} from "./trust/verification/verifications.ts";
