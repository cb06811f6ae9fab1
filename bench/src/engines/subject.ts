import type { IDBFactory } from "@holdfast/indexeddb";
import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";

/** The device that is measured. */
export const DEVICE = { userId: "@bench:localhost", deviceId: "BENCH" } as const;

/** What every store that encrypts at rest is opened with: a key, so that none spends time on a passphrase. */
export const STORE_KEY: Uint8Array = new Uint8Array(32).fill(7);

/** A crypto engine that runs. */
export interface OpenEngine {
  readonly machine: OlmMachine;
  close(): Promise<void>;
}

/** An implementation of IndexedDB that runs. */
export interface OpenIndexedDb {
  readonly factory: IDBFactory;
  close(): Promise<void>;
}

/** One way to keep the state of a crypto engine, or of IndexedDB's databases. */
export interface Subject<Opened> extends AsyncDisposable {
  /** Opens it, with nothing kept from an earlier opening but what the store holds. */
  open(): Promise<Opened>;
  /** Durable commits until now. */
  commits(): Promise<number>;
  /** Statements that PostgreSQL ran until now; `undefined` where there is none. */
  statements(): Promise<number | undefined>;
}
