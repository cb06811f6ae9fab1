import {
  type KeyStore,
  type KeyStoreCandidate,
  type Logger,
  type OnUnavailable,
  type ResolvedKeyStore,
  resolveKeyStore,
} from "@holdfast/key-store-core";

/** Which stores there are to choose from: the one that is asked for first. */
export interface StoresOptions {
  readonly candidates: readonly KeyStoreCandidate[];
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
  #preferred: KeyStore | undefined;
  #current: KeyStore | undefined;

  constructor(options: StoresOptions) {
    this.#options = options;
  }

  /** @throws what `resolveKeyStore` throws */
  async resolve(): Promise<ResolvedKeyStore> {
    this.#resolved = await resolveKeyStore(this.#options.candidates, this.#options);
    if (!this.#resolved.degraded) this.#preferred = this.#resolved.keyStore;
    return this.#resolved;
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

  /** The store that was asked for, where it is there now. */
  async preferredIfReady(): Promise<KeyStore | undefined> {
    this.#preferred ??= await this.#makePreferred();
    return (await this.#preferred.init()) ? this.#preferred : undefined;
  }

  /**
   * The stores behind the one that was asked for that are ready and durable, one
   * after the other: what a device may have lived in meanwhile. Each is closed
   * when the next is asked for, but for the one that is in use.
   */
  async *others(): AsyncGenerator<KeyStore> {
    for (const candidate of this.#options.candidates.slice(1)) {
      const name = candidate.name;
      if (this.current?.name === name && this.current !== this.#preferred) {
        yield this.current;
        continue;
      }
      const keyStore = await makeOf(candidate).catch(() => undefined);
      if (keyStore === undefined) continue;
      try {
        if (keyStore.persistence === "durable" && (await keyStore.init())) yield keyStore;
      } finally {
        await keyStore.close();
      }
    }
  }

  /** Closes all. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([this.#resolved?.keyStore.close(), this.#preferred?.close(), this.#current?.close()]);
  }

  /** Anew: the resolver has closed the one that it tried. One that was given ready-made cannot be made again. */
  async #makePreferred(): Promise<KeyStore> {
    const [first] = this.#options.candidates;
    if (first === undefined) throw new TypeError("there is no key store to choose from");
    return makeOf(first);
  }
}

async function makeOf(candidate: KeyStoreCandidate): Promise<KeyStore> {
  return "create" in candidate ? candidate.create() : candidate;
}
