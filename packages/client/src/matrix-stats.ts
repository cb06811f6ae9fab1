import type { KeyStoreStats } from "@holdfast/key-store-core";

/** What a key store holds in Matrix's terms, over all its devices. */
export interface MatrixStats {
  /** One for each device. */
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
 * What the counters of the key store say in Matrix's terms; `undefined` where
 * the store cannot be asked.
 */
export function matrixStats({ usage }: KeyStoreStats): MatrixStats | undefined {
  if (usage === undefined) return undefined;
  const records = new Map<string, number>();
  for (const { collection, records: count } of usage.collections) {
    const place = PLACE.exec(collection)?.[1];
    if (place !== undefined) records.set(place, (records.get(place) ?? 0) + count);
  }
  const count = (place: string): number => records.get(place) ?? 0;
  const inbound = count("inbound_group_sessions3");
  return {
    olmAccounts: usage.devices,
    olmSessions: count("session"),
    inboundMegolmSessions: inbound,
    // The index holds those that are still to be backed up.
    backedUpMegolmSessions: inbound - count("inbound_group_sessions3/backup"),
    outboundMegolmSessions: count("outbound_group_sessions"),
    trackedUsers: count("tracked_users"),
    knownDevices: count("devices"),
  };
}
