/** @internal */
export { compareBytes, EMPTY, fromText, sizeOf, successor, toText } from "./bytes.ts";
export type {
  AcquireOutcome,
  AcquireRequest,
  ByteRange,
  CollectionChanges,
  DeviceDriver,
  DeviceMark,
  DeviceState,
  Guard,
  HighWaterMark,
  KeyStoreDriver,
} from "./driver.ts";
export { DriverKeyStore } from "./driver-key-store.ts";
export {
  isKeyStoreError,
  KeyStoreError,
  type KeyStoreErrorCode,
  type KeyStoreErrorOptions,
  messageOf,
} from "./errors.ts";
export type {
  DeviceMove,
  DeviceRef,
  DeviceStatus,
  DeviceStore,
  DeviceSummary,
  KeyStore,
  KeyStoreMode,
  KeyStoreStatus,
  LeaseHolder,
  MovableDevice,
  MovePeer,
  OpenDeviceOptions,
  OpenForMoveOptions,
  Persistence,
} from "./key-store.ts";
export { type Logger, silentLogger } from "./logger.ts";
export { type KeyStoreOptions, numberOption } from "./options.ts";
/** @internal */
export { Overlay } from "./overlay.ts";
export {
  type Change,
  type KeyRange,
  type Known,
  MAX_COLLECTION_NAME_BYTES,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  type Page,
  type RecordReader,
  type StoredRecord,
} from "./records.ts";
/** @internal */
export { isBehind, movedAway, nameOf, peerName } from "./refusal.ts";
export {
  type KeyStoreCandidate,
  type LazyKeyStore,
  type OnUnavailable,
  type ResolveAttempt,
  type ResolvedKeyStore,
  type ResolveOptions,
  resolveKeyStore,
  waitUntilReady,
} from "./resolver.ts";
/** @internal */
export { safeLogger } from "./safe-logger.ts";
export type {
  CollectionUsage,
  EngineInfo,
  KeyStoreStats,
  KeyStoreUsage,
  LeaseSummary,
  ProcessCounters,
} from "./stats.ts";
/** @internal */
export { TextMap } from "./text-map.ts";
/** @internal */
export { checkDevice, invalid } from "./validate.ts";
export { fileWitness, type RollbackWitness } from "./witness.ts";
