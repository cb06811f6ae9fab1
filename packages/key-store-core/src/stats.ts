import type { KeyStoreErrorCode } from "./errors.ts";
import type { DeviceRef, KeyStoreMode, KeyStoreStatus, LeaseHolder, Persistence } from "./key-store.ts";

/** Records and bytes of one collection name: of one device, or over all of them. */
export interface CollectionUsage {
  readonly collection: string;
  readonly records: number;
  /** The bytes of keys and values. */
  readonly bytes: number;
}

/** A lease that is in force. */
export interface LeaseSummary extends DeviceRef {
  readonly holder: LeaseHolder;
}

/** What the database says of itself: kept by its commits, never found by a scan of the records. */
export interface KeyStoreUsage {
  readonly devices: number;
  /** Leases in force, at most 1,000 of them. */
  readonly leases: readonly LeaseSummary[];
  /** By name, in the order of their UTF-8 bytes. */
  readonly collections: readonly CollectionUsage[];
}

/** The engine below a store. */
export interface EngineInfo {
  /** The server's or the library's version, such as `"18.4"`. */
  readonly version: string;
  /** The number of the newest migration applied. */
  readonly schemaVersion: number;
  /** Random, made when the store was installed: copies of a database share it. */
  readonly storeId: string;
}

/** What this process did with the store since it was made. */
export interface ProcessCounters {
  /** Durable commits. */
  readonly commits: number;
  /** Calls of `get`, `getMany`, `list` and `count`. */
  readonly reads: number;
  /** Keys found in the read cache, as present or as absent. */
  readonly cacheHits: number;
  readonly cacheMisses: number;
  /** Hits over hits and misses; 0 before the first. */
  readonly cacheHitRate: number;
  /** Of the last 1,024 commits, in milliseconds; 0 before the first. */
  readonly commitLatencyMs: { readonly p50: number; readonly p99: number };
  /** Operations that were tried again after a broken connection. */
  readonly retries: number;
  readonly lastError: { readonly code: KeyStoreErrorCode; readonly message: string; readonly at: Date } | undefined;
}

/** The figures of a key store. */
export interface KeyStoreStats {
  readonly kind: string;
  readonly persistence: Persistence;
  readonly mode: KeyStoreMode;
  readonly status: KeyStoreStatus;
  readonly counters: ProcessCounters;
  /** `undefined` until the store has been ready once. */
  readonly engine: EngineInfo | undefined;
  /** `undefined` where the database cannot be asked. */
  readonly usage: KeyStoreUsage | undefined;
}
