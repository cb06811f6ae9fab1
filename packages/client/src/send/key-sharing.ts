import {
  CollectStrategy,
  EncryptionAlgorithm,
  EncryptionSettings,
  HistoryVisibility,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { EncryptedRoom } from "../rooms/encryption-state.ts";
import type { RoomHistoryVisibility } from "../rooms/room-record.ts";

/**
 * Which devices of a room's members get its keys: all; those that their owner
 * has signed (users without cross-signing then get none, and this account needs it itself); or those that were verified.
 */
export type ShareKeysWith = "all-devices" | "signed-devices" | "verified-devices";

const VISIBILITIES: Readonly<Record<RoomHistoryVisibility, HistoryVisibility>> = {
  invited: HistoryVisibility.Invited,
  joined: HistoryVisibility.Joined,
  shared: HistoryVisibility.Shared,
  world_readable: HistoryVisibility.WorldReadable,
};

/** How a room's keys are made and shared, as the engine wants it. */
export function engineSettings(
  room: EncryptedRoom,
  visibility: RoomHistoryVisibility,
  shareWith: ShareKeysWith,
): EncryptionSettings {
  const settings = new EncryptionSettings();
  settings.algorithm = EncryptionAlgorithm.MegolmV1AesSha2;
  // The engine counts in microseconds, of 64 bits.
  settings.rotationPeriod = BigInt(room.rotationPeriodMs) * 1_000n;
  settings.rotationPeriodMessages = BigInt(room.rotationPeriodMsgs);
  settings.historyVisibility = VISIBILITIES[visibility];
  settings.sharingStrategy = strategy(shareWith);
  return settings;
}

function strategy(shareWith: ShareKeysWith): CollectStrategy {
  switch (shareWith) {
    case "all-devices":
      return CollectStrategy.allDevices();
    case "signed-devices":
      return CollectStrategy.identityBasedStrategy();
    case "verified-devices":
      return CollectStrategy.onlyTrustedDevices();
  }
}
