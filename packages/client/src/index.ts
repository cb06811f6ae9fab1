export { waitUntilReady } from "@holdfast/key-store-core";
export type { ClientMode, ModeEvent } from "./availability/client-mode.ts";
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
export { type ClientStats, type ClientStatus, MatrixClient } from "./matrix-client.ts";
export type { MatrixClientOptions } from "./matrix-client-options.ts";
export type { MatrixStats } from "./matrix-stats.ts";
export type { CreateRoomOptions, JoinOptions, MembershipOptions } from "./rooms/room-actions.ts";
export type { MessageContent, ReplyTarget } from "./send/content.ts";
export type { ShareKeysWith } from "./send/key-sharing.ts";
export type { Messages, OutgoingFile } from "./send/messages.ts";
export type { SendOptions } from "./send/outbox.ts";
export type { Sent } from "./send/outbox-item.ts";
export type { RoomEvent, StrippedEvent } from "./sync/room-update.ts";
export type { DecryptionTrust } from "./trust/trust-requirement.ts";
