import {
  type AcquireOutcome,
  type AcquireRequest,
  type CollectionChanges,
  type DeviceDriver,
  type Guard,
  type KeyStoreDriver,
  KeyStoreError,
} from "@holdfast/key-store-core";
import { die, tell } from "./channel.ts";
import type { Deaths } from "./deaths.ts";

const TOKEN = Buffer.from("sync-token");
/** How the collection of the crypto engine's Olm sessions is called. */
const OLM_SESSIONS = "crypto::matrix-sdk-crypto/session";

/** A driver as it is, but for what is done to it: it tells the parent what was committed, and is a place to die. */
export class ChaosDriver implements KeyStoreDriver {
  readonly #inner: KeyStoreDriver;
  readonly #deaths: Deaths;
  #delayNext = false;
  #delayed: (() => Promise<void>) | undefined;
  #refusesNext = false;
  /** The changes of commits that are refused however often they are tried. */
  readonly #refused = new WeakSet<readonly CollectionChanges[]>();

  constructor(inner: KeyStoreDriver, deaths: Deaths) {
    this.#inner = inner;
    this.#deaths = deaths;
  }

  get kind() {
    return this.#inner.kind;
  }
  get name() {
    return this.#inner.name;
  }
  get persistence() {
    return this.#inner.persistence;
  }
  get mode() {
    return this.#inner.mode;
  }

  /** The next commit arrives late: see `delay commit` of the protocol. */
  delayNextCommit(): void {
    this.#delayNext = true;
  }

  /** The next commit that takes in what came under Olm is refused: see `refuse commit` of the protocol. */
  refuseNextCommit(): void {
    this.#refusesNext = true;
  }

  connect(signal: AbortSignal) {
    return this.#inner.connect(signal);
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    const outcome = await this.#inner.acquire(request);
    if (outcome.outcome !== "acquired") return outcome;
    const { epoch, revision, device } = outcome;
    tell({ told: "opened", holder: request.holder.id, epoch: String(epoch), revision: String(revision) });
    return { ...outcome, device: this.#wrapped(device) };
  }

  listDevices() {
    return this.#inner.listDevices();
  }

  deleteDevice(device: Parameters<KeyStoreDriver["deleteDevice"]>[0]) {
    return this.#inner.deleteDevice(device);
  }

  usage() {
    return this.#inner.usage();
  }

  disconnect() {
    return this.#inner.disconnect();
  }

  #wrapped(inner: DeviceDriver): DeviceDriver {
    return {
      getMany: (collection, keys) => inner.getMany(collection, keys),
      list: (collection, range, page) => inner.list(collection, range, page),
      count: (collection, range) => inner.count(collection, range),
      commit: (guard, changes) => this.#commit(inner, guard, changes),
      mark: (guard, mark) => inner.mark(guard, mark),
      collections: () => inner.collections(),
      settle: async (holderId) => {
        const state = await inner.settle(holderId);
        await this.#arrive();
        return state;
      },
      state: async () => {
        const state = await inner.state();
        await this.#arrive();
        return state;
      },
      release: (holderId) => inner.release(holderId),
      ...(inner.peek && { peek: inner.peek.bind(inner) }),
    };
  }

  async #commit(inner: DeviceDriver, guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean> {
    const deaths = this.#deaths;
    deaths.at("before commit");
    if (this.#refusesNext && hasToken(changes) && hasOlmSession(changes)) {
      this.#refusesNext = false;
      this.#refused.add(changes);
      tell({ told: "refused commit" });
    }
    if (this.#refused.has(changes)) throw unavailable("the commit is refused");
    if (this.#delayNext) {
      this.#delayNext = false;
      this.#delayed = async () => tell({ told: "late commit", applied: await inner.commit(guard, changes) });
      throw unavailable("the commit had no answer");
    }
    const committing = inner.commit(guard, changes);
    // On its way: the request is with the socket after a turn or two of the event loop.
    if (deaths.passes("inside commit")) setImmediate(() => setImmediate(die));
    const applied = await committing;
    if (!applied) return false;
    const { holderId: holder, epoch, revision } = guard;
    tell({ told: "committed", holder, epoch: String(epoch), revision: String(revision) });
    deaths.at("after commit");
    if (hasToken(changes)) deaths.at("after token");
    if (hasOlmSession(changes)) deaths.at("after Olm session");
    return true;
  }

  /** A commit that was on its way all the time. */
  async #arrive(): Promise<void> {
    const delayed = this.#delayed;
    this.#delayed = undefined;
    await delayed?.();
  }
}

function unavailable(message: string): KeyStoreError {
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `${message} (injected)`);
}

function hasToken(changes: readonly CollectionChanges[]): boolean {
  const client = changes.find(({ collection }) => collection === "client/client");
  return client?.puts.some(({ key }) => Buffer.from(key).includes(TOKEN)) ?? false;
}

function hasOlmSession(changes: readonly CollectionChanges[]): boolean {
  return changes.some(({ collection, puts }) => collection.endsWith(OLM_SESSIONS) && puts.length > 0);
}
