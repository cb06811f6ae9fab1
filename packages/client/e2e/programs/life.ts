import type { KeyStoreCandidate } from "@holdfast/key-store-core";
import { PostgresKeyStore } from "@holdfast/key-store-postgres";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";

/** Where a device's keys are. */
export type Storage =
  | { readonly kind: "sqlite"; readonly path: string }
  /** Leases end soon after their holder's death. */
  | { readonly kind: "postgres"; readonly url: string };

/** A storage as our client takes it. */
export function candidateOn(storage: Storage): KeyStoreCandidate {
  if (storage.kind === "sqlite") return { name: "SQLite", create: async () => new SqliteKeyStore(storage) };
  return { name: "PostgreSQL", create: async () => new PostgresKeyStore({ url: storage.url, leaseMs: 4_000 }) };
}

/** One life of our client on a device, which its parent ends. */
export interface Life {
  readonly homeserver: string;
  readonly accessToken: string;
  readonly storage: Storage;
  /** What it does with a message: answers it, or never ends. */
  readonly onMessage: "answer" | "hang";
}

/** What a life tells its parent. */
export type Told =
  | { readonly told: "connected"; readonly ed25519: string | undefined }
  | { readonly told: "reading"; readonly body: string; readonly eventId: string }
  | { readonly told: "answered" }
  | { readonly told: "sent"; readonly eventId: string };

/** What a parent asks for, once the life is connected. */
export interface Ask {
  readonly roomId: string;
  readonly body: string;
  readonly transactionId: string;
}
