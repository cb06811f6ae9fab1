import type { CollectionUsage } from "@holdfast/key-store-core";

/** What a device, or a whole key store, holds in Matrix's terms. */
export interface MatrixStats {
  /** How many devices these figures are of: a device has one. */
  readonly olmAccounts: number;
  readonly olmSessions: number;
  readonly inboundMegolmSessions: number;
  /** How many of the inbound sessions a backup holds. */
  readonly backedUpMegolmSessions: number;
  readonly outboundMegolmSessions: number;
  readonly trackedUsers: number;
  /** Devices of other users, and the other devices of our own. */
  readonly knownDevices: number;
}

/** The crypto engine's own names of what it keeps, as the IndexedDB engine passes them on in the names of collections. */
const PLACE = /^idb:[\d.]+ .*::matrix-sdk-crypto\/(.+)$/;

/**
 * What collections hold in Matrix's terms: those of one device
 * (`await engine.deviceStore.collections()`), or of all devices of a key store
 * (`matrixStats(usage.collections, usage.devices)` with the `usage` of its stats).
 * These are counters that the store's commits keep: nothing is scanned.
 *
 * @param devices how many devices the collections are of. Default: 1
 */
export function matrixStats(collections: readonly CollectionUsage[], devices = 1): MatrixStats {
  const records = new Map<string, number>();
  for (const { collection, records: count } of collections) {
    const place = PLACE.exec(collection)?.[1];
    if (place !== undefined) records.set(place, (records.get(place) ?? 0) + count);
  }
  const count = (place: string): number => records.get(place) ?? 0;
  const inbound = count("inbound_group_sessions3");
  return {
    olmAccounts: devices,
    olmSessions: count("session"),
    inboundMegolmSessions: inbound,
    // The index holds those that are still to be backed up.
    backedUpMegolmSessions: inbound - count("inbound_group_sessions3/backup"),
    outboundMegolmSessions: count("outbound_group_sessions"),
    trackedUsers: count("tracked_users"),
    knownDevices: count("devices"),
  };
}
