import type {
  AcquireOutcome,
  AcquireRequest,
  ByteRange,
  CollectionChanges,
  CollectionUsage,
  DeviceDriver,
  DeviceMark,
  DeviceRef,
  DeviceState,
  DeviceSummary,
  EngineInfo,
  Guard,
  KeyStoreDriver,
  KeyStoreUsage,
  LeaseHolder,
  Page,
  StoredRecord,
} from "@holdfast/key-store-core";
import { KeyStoreError, type KeyStoreErrorCode } from "@holdfast/key-store-core";

/** Every hook of an adapter that can fail, of its driver and of a device's. */
type Hooks = Omit<KeyStoreDriver, "kind" | "name" | "persistence" | "mode"> & Omit<DeviceDriver, "peek">;

export type Hook = keyof Hooks;

/** What each hook answers with. */
export type HookAnswers = { readonly [H in Hook]: Awaited<ReturnType<Hooks[H]>> };

/** Stands in for one call of a hook; `attempt` is the real call. */
export type Fault<H extends Hook> = (attempt: () => Promise<HookAnswers[H]>) => Promise<HookAnswers[H]>;

/** What a driver says when its connection breaks. */
export function cut(): KeyStoreError {
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", "the connection broke (injected)");
}

/** A failure that trying again does not help: the database says what is wrong. */
export function fatal(code: KeyStoreErrorCode = "ERR_KEY_STORE_DISK_FULL"): () => Promise<never> {
  const error = new KeyStoreError(code, `${code} (injected)`);
  return async () => {
    throw error;
  };
}

/** The connection breaks before the request arrives. */
export async function cutBefore(): Promise<never> {
  throw cut();
}

/** The request is carried out, and its answer lost. */
export async function cutAfter(attempt: () => Promise<unknown>): Promise<never> {
  await attempt();
  throw cut();
}

/** The database accepts the request and says nothing ever after. */
export function silence(): Promise<never> {
  return new Promise(() => {});
}

/**
 * Time limits, in milliseconds, for tests that wait for them to be over: long
 * enough for a real call on a busy machine, which has a third of a commit's.
 */
export const LIMITS = { operationTimeoutMs: 1_000, commitTimeoutMs: 2_000 } as const;

/** A fault that waits for a signal before the real call is made. */
export interface Gate {
  readonly fault: <T>(attempt: () => Promise<T>) => Promise<T>;
  /** Resolves when a call stands at the gate. */
  readonly reached: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: () => opened.resolve(),
    async fault(attempt) {
      reached.resolve();
      await opened.promise;
      return attempt();
    },
  };
}

/**
 * A driver between the core and a real one, whose hooks fail as they are told
 * to: what a network does to any adapter, at a moment of the test's choosing.
 */
export class FaultyDriver implements KeyStoreDriver {
  readonly #inner: KeyStoreDriver;
  readonly #once = new Map<Hook, Fault<Hook>[]>();
  readonly #always = new Map<Hook, Fault<Hook>>();
  readonly #calls = new Map<Hook, number>();
  #afterDisconnect = 0;
  readonly #answered = new Map<Hook, (() => void)[]>();

  constructor(inner: KeyStoreDriver) {
    this.#inner = inner;
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

  /** The next calls of a hook meet these faults, one each. */
  next<H extends Hook>(hook: H, ...faults: Fault<H>[]): void {
    // A fault is kept under its own hook and only ever called for it.
    this.#once.set(hook, [...(this.#once.get(hook) ?? []), ...(faults as unknown as Fault<Hook>[])]);
  }

  /** Every call of a hook meets this fault, once those of {@link next} are used up. */
  always<H extends Hook>(hook: H, fault: Fault<H>): void {
    this.#always.set(hook, fault as unknown as Fault<Hook>);
  }

  /** Every hook fails, as when the server is gone. */
  cutEverything(): void {
    for (const hook of [...DEVICE_HOOKS, ...STORE_HOOKS]) this.always(hook, cutBefore);
  }

  /** No more faults. */
  heal(): void {
    this.#once.clear();
    this.#always.clear();
  }

  /** How often a hook was called. */
  calls(hook: Hook): number {
    return this.#calls.get(hook) ?? 0;
  }

  /** How many hooks were called after `disconnect`: the contract says none. */
  get afterDisconnect(): number {
    return this.#afterDisconnect;
  }

  /** Resolves when the next call of a hook has been answered or has failed. */
  answered(hook: Hook): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answered.set(hook, [...(this.#answered.get(hook) ?? []), resolve]);
    return promise;
  }

  async call<H extends Hook>(hook: H, attempt: () => Promise<HookAnswers[H]>): Promise<HookAnswers[H]> {
    if (this.calls("disconnect") > 0) this.#afterDisconnect += 1;
    this.#calls.set(hook, this.calls(hook) + 1);
    const fault = (this.#once.get(hook)?.shift() ?? this.#always.get(hook)) as Fault<H> | undefined;
    try {
      return await (fault === undefined ? attempt() : fault(attempt));
    } finally {
      const waiting = this.#answered.get(hook) ?? [];
      this.#answered.delete(hook);
      for (const resolve of waiting) resolve();
    }
  }

  connect(signal: AbortSignal): Promise<EngineInfo> {
    return this.call("connect", () => this.#inner.connect(signal));
  }

  acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    return this.call("acquire", async () => {
      const outcome = await this.#inner.acquire(request);
      return outcome.outcome === "acquired" ? { ...outcome, device: new FaultyDevice(this, outcome.device) } : outcome;
    });
  }

  listDevices(): Promise<DeviceSummary[]> {
    return this.call("listDevices", () => this.#inner.listDevices());
  }

  deleteDevice(device: DeviceRef): Promise<"deleted" | "absent" | LeaseHolder> {
    return this.call("deleteDevice", () => this.#inner.deleteDevice(device));
  }

  usage(): Promise<KeyStoreUsage> {
    return this.call("usage", () => this.#inner.usage());
  }

  disconnect(): Promise<void> {
    return this.call("disconnect", () => this.#inner.disconnect());
  }
}

const STORE_HOOKS = ["connect", "acquire", "listDevices", "deleteDevice", "usage"] as const satisfies Hook[];
const DEVICE_HOOKS = [
  "getMany",
  "list",
  "count",
  "commit",
  "mark",
  "collections",
  "settle",
  "state",
  "release",
] as const satisfies Hook[];

class FaultyDevice implements DeviceDriver {
  readonly #owner: FaultyDriver;
  readonly #inner: DeviceDriver;

  constructor(owner: FaultyDriver, inner: DeviceDriver) {
    this.#owner = owner;
    this.#inner = inner;
  }

  getMany(collection: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#owner.call("getMany", () => this.#inner.getMany(collection, keys));
  }

  list(collection: string, range: ByteRange, page: Page): Promise<StoredRecord[]> {
    return this.#owner.call("list", () => this.#inner.list(collection, range, page));
  }

  count(collection: string, range: ByteRange): Promise<number> {
    return this.#owner.call("count", () => this.#inner.count(collection, range));
  }

  commit(guard: Guard, changes: readonly CollectionChanges[]): Promise<boolean> {
    return this.#owner.call("commit", () => this.#inner.commit(guard, changes));
  }

  mark(guard: Guard, mark: DeviceMark): Promise<boolean> {
    return this.#owner.call("mark", () => this.#inner.mark(guard, mark));
  }

  collections(): Promise<CollectionUsage[]> {
    return this.#owner.call("collections", () => this.#inner.collections());
  }

  settle(holderId: string): Promise<DeviceState | undefined> {
    return this.#owner.call("settle", () => this.#inner.settle(holderId));
  }

  state(): Promise<DeviceState | undefined> {
    return this.#owner.call("state", () => this.#inner.state());
  }

  release(holderId: string): Promise<void> {
    return this.#owner.call("release", () => this.#inner.release(holderId));
  }
}
