import {
  isKeyStoreError,
  type KeyStore,
  type KeyStoreCandidate,
  KeyStoreError,
  type Logger,
  messageOf,
  type OnUnavailable,
  type ResolvedKeyStore,
  resolveKeyStore,
} from "@holdfast/key-store-core";
import { MatrixClientError } from "../errors.ts";
import type { MayHold } from "../key-store-from-env.ts";

/** Which stores there are to choose from: the one that is asked for first. */
export interface StoresOptions {
  readonly candidates: readonly (KeyStoreCandidate & MayHold)[];
  readonly onUnavailable: OnUnavailable;
  readonly logger: Logger;
}

/**
 * The key stores of a client: the one that was chosen at the start, and the one
 * that was asked for, to ask for again while another is in its place.
 */
export class Stores {
  readonly #options: StoresOptions;
  #resolved: ResolvedKeyStore | undefined;
  /** Which candidate the store of the start is. */
  #index = 0;
  #preferred: KeyStore | undefined;
  #current: KeyStore | undefined;
  #closed = false;

  constructor(options: StoresOptions) {
    this.#options = options;
  }

  /** @throws what `resolveKeyStore` throws; `CLOSED` */
  async resolve(): Promise<ResolvedKeyStore> {
    const resolved = await resolveKeyStore(this.#options.candidates, { ...this.#options, closeGiven: false });
    this.#resolved = resolved;
    this.#index = Math.max(
      0,
      resolved.attempts.findLastIndex(({ available }) => available),
    );
    if (!resolved.degraded) this.#preferred = resolved.keyStore;
    await this.#throwIfClosed();
    return resolved;
  }

  /** What the start has chosen. @throws TypeError before {@link resolve} */
  get resolved(): ResolvedKeyStore {
    if (this.#resolved === undefined) throw new TypeError("no key store was resolved yet");
    return this.#resolved;
  }

  /** The store that is used or waited for; `undefined` before {@link resolve}. */
  get current(): KeyStore | undefined {
    return this.#current ?? this.#resolved?.keyStore;
  }

  /** Another store than the one of the start is used from now on. */
  use(keyStore: KeyStore): void {
    this.#current = keyStore;
  }

  /** The store that was asked for, where it is there now. @throws `CLOSED`; `ERR_KEY_STORE_UNAVAILABLE` where it cannot be made */
  async preferredIfReady(): Promise<KeyStore | undefined> {
    if (this.#preferred === undefined) {
      // Anew: the resolver has closed the one that it made and tried.
      const [first] = this.#options.candidates;
      if (first === undefined) throw new TypeError("there is no key store to choose from");
      this.#preferred = await makeOf(first).catch((cause) => {
        if (isKeyStoreError(cause)) throw cause;
        const message = `the store that was asked for cannot be made: ${messageOf(cause)}`;
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message, { cause });
      });
    }
    await this.#throwIfClosed();
    return (await this.#preferred.init()) ? this.#preferred : undefined;
  }

  /**
   * The stores behind the one that was asked for that are ready, and are durable
   * or in its place now, one after the other: what a device may have lived in
   * meanwhile. Each that is not in use is closed when the next is asked for.
   */
  async *others(): AsyncGenerator<KeyStore> {
    for (const [index, candidate] of this.#options.candidates.entries()) {
      if (index === 0) continue;
      if (index === this.#index) {
        yield this.resolved.keyStore;
        continue;
      }
      if (candidate.mayHold?.() === false) continue;
      const keyStore = await makeOf(candidate).catch(() => undefined);
      if (keyStore === undefined) continue;
      try {
        if (keyStore.persistence === "durable" && (await keyStore.init())) yield keyStore;
      } finally {
        // One that was given ready-made may be looked into again.
        if ("create" in candidate) await keyStore.close();
      }
    }
  }

  /** All stores that are ready: the one of the start, then {@link others}. */
  async *ready(): AsyncGenerator<KeyStore> {
    const { keyStore, mode, degraded } = this.resolved;
    if (mode === "waiting") return;
    yield keyStore;
    // What stands in for the first is all there is; what lies behind it may hold what has lived there before.
    if (!degraded) yield* this.others();
  }

  /** Closes all, and what is opened after it. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const given = this.#options.candidates.filter((candidate) => "init" in candidate);
    const all = new Set([this.#resolved?.keyStore, this.#preferred, this.#current, ...given]);
    await Promise.all([...all].map((keyStore) => keyStore?.close()));
  }

  async #throwIfClosed(): Promise<void> {
    if (!this.#closed) return;
    await this.close();
    throw new MatrixClientError("CLOSED", "the client was closed");
  }
}

async function makeOf(candidate: KeyStoreCandidate): Promise<KeyStore> {
  return "create" in candidate ? candidate.create() : candidate;
}
