import type { KeyStoreStats, KeyStoreStatus } from "@holdfast/key-store-core";
import type { ClientMode } from "./availability/client-mode.ts";
import type { Stores } from "./availability/stores.ts";
import type { Connection } from "./connection.ts";
import { type MatrixStats, matrixStats } from "./matrix-stats.ts";

/** What a client can say of itself at any time. */
export interface ClientStatus {
  /** `undefined` before {@link MatrixClient.connect}. */
  readonly mode: ClientMode | undefined;
  readonly keyStoreAvailable: boolean;
  /** Why encryption is paused or off; `undefined` where it runs. */
  readonly reason: string | undefined;
  /** The key store that is used or waited for; `undefined` before {@link MatrixClient.connect}. */
  readonly keyStore: KeyStoreStatus | undefined;
}

/** The figures of a client. */
export interface ClientStats extends ClientStatus {
  /** Of the whole key store, with all devices in it; `undefined` before {@link MatrixClient.connect}. */
  readonly store: KeyStoreStats | undefined;
  /** What this client's own device holds; `undefined` while it does not run: its store is away, or encryption is off. */
  readonly matrix: MatrixStats | undefined;
  /** What waits to be handed over, for its key, or for another try; `undefined` while the store is away. */
  readonly waiting: { readonly inbox: number; readonly held: number; readonly setAside: number } | undefined;
}

/** The status of a client, whose stores and connection are `undefined` before it has them. */
export function statusOf(stores: Stores | undefined, connection: Connection | undefined): ClientStatus {
  const supervisor = connection?.supervisor;
  return {
    mode: supervisor?.mode,
    keyStoreAvailable: supervisor?.keyStoreAvailable ?? false,
    reason: supervisor?.reason,
    keyStore: stores?.current?.status,
  };
}

/** The figures of a client, as {@link statusOf}. Never rejects. */
export async function statsOf(stores: Stores | undefined, connection: Connection | undefined): Promise<ClientStats> {
  const store = await stores?.current?.stats();
  const running = connection?.supervisor.running;
  const waiting = await running?.waiting().catch(() => undefined);
  const held = await running?.encryption.deviceStore.collections().catch(() => undefined);
  return { ...statusOf(stores, connection), store, matrix: held && matrixStats(held), waiting };
}
