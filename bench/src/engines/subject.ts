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

/** One way to keep a crypto engine's state. */
export interface Subject extends AsyncDisposable {
  /** Opens the device, with nothing kept from an earlier opening but what the store holds. */
  open(): Promise<OpenEngine>;
  /** Durable commits until now. */
  commits(): Promise<number>;
  /** Statements that PostgreSQL ran until now; `undefined` where there is none. */
  statements(): Promise<number | undefined>;
}
