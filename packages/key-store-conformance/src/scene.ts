import assert from "node:assert/strict";
import type {
  AcquireOutcome,
  ByteRange,
  Change,
  CollectionChanges,
  DeviceDriver,
  Guard,
  KeyStoreDriver,
} from "@holdfast/key-store-core";
import {
  type DeviceRef,
  type DeviceStore,
  DriverKeyStore,
  type KeyStore,
  type KeyStoreOptions,
  type LeaseHolder,
  type OpenDeviceOptions,
} from "@holdfast/key-store-core";
import { text } from "./bytes.ts";
import { FaultyDriver } from "./faulty-driver.ts";
import type {
  ConformanceCapability,
  ConformancePlace,
  ConformanceSubject,
  ConformanceTest,
  HeldCommits,
} from "./subject.ts";

/** The device that tests use where one is enough. */
export const DEVICE: DeviceRef = Object.freeze({ userId: "@bot:example.org", deviceId: "JLAFKJWSCS" });

/** The collection that tests use where one is enough. */
export const SESSIONS = "olm_sessions";

/** Every key there is, as drivers are asked for it. */
export const ALL: ByteRange = Object.freeze({ start: new Uint8Array(0), end: undefined });

/** Adds a test to the suite. */
export type Define = (
  name: string,
  run: (scene: Scene) => Promise<void>,
  options?: { readonly timeoutMs?: number; readonly needs?: ConformanceCapability },
) => void;

/** A device that a raw driver has acquired, with the guard that is right at first. */
export interface Acquired {
  readonly device: DeviceDriver;
  readonly holder: LeaseHolder;
  readonly guard: Guard;
}

/** What one test works with: a place, and the stores and drivers it opened there. All are closed when it ends. */
export class Scene {
  readonly subject: ConformanceSubject;
  readonly place: ConformancePlace;
  readonly #options: KeyStoreOptions;
  readonly #closing: (() => Promise<void>)[] = [];
  #holders = 0;
  #other: ConformancePlace | undefined;

  constructor(subject: ConformanceSubject, place: ConformancePlace, options: KeyStoreOptions) {
    this.subject = subject;
    this.place = place;
    this.#options = options;
  }

  /** A new store on the place, not yet initialised. */
  newStore(options: KeyStoreOptions = {}): KeyStore {
    return this.adopt(this.place.open({ ...this.#options, ...options }));
  }

  /** A store on the place that is ready. */
  async store(options: KeyStoreOptions = {}): Promise<KeyStore> {
    return ready(this.newStore(options));
  }

  /** A store that is closed when the test ends. */
  adopt(store: KeyStore): KeyStore {
    this.#closing.push(() => store.close());
    return store;
  }

  /** A device on a store of its own: what another process would have. */
  async device(options: KeyStoreOptions = {}, ref: DeviceRef = DEVICE): Promise<DeviceStore> {
    return open(await this.store(options), ref);
  }

  /** A store on a place of its own, that is ready: what a device is moved to. */
  async otherStore(options: KeyStoreOptions = {}): Promise<KeyStore> {
    const place = await this.#otherPlace();
    return ready(this.adopt(place.open({ ...this.#options, ...options })));
  }

  /** The same, over a driver whose hooks can be made to fail. */
  async faultyOtherStore(options: KeyStoreOptions = {}): Promise<{ driver: FaultyDriver; store: KeyStore }> {
    const made = this.#faulty(await this.#otherPlace(), options);
    await ready(made.store);
    return made;
  }

  /** A driver whose hooks can be made to fail, and a store over it, not yet initialised. */
  newFaultyStore(options: KeyStoreOptions = {}): { driver: FaultyDriver; store: KeyStore } {
    return this.#faulty(this.place, options);
  }

  #faulty(place: ConformancePlace, options: KeyStoreOptions): { driver: FaultyDriver; store: KeyStore } {
    const driver = new FaultyDriver(place.driver());
    const complete = { ...this.#options, ...options };
    const store = this.adopt(this.subject.over?.(driver, complete) ?? new DriverKeyStore(driver, complete));
    // Closed first: a hook that stands still would keep the store from closing.
    this.#closing.push(async () => driver.heal());
    return { driver, store };
  }

  /** The same, ready. */
  async faultyStore(options: KeyStoreOptions = {}): Promise<{ driver: FaultyDriver; store: KeyStore }> {
    const made = this.newFaultyStore(options);
    await ready(made.store);
    return made;
  }

  /** The same, with a device opened. */
  async faultyDevice(
    options: KeyStoreOptions = {},
  ): Promise<{ driver: FaultyDriver; store: KeyStore; device: DeviceStore }> {
    const made = await this.faultyStore(options);
    return { ...made, device: await open(made.store) };
  }

  /** A connected driver. */
  async driver(): Promise<KeyStoreDriver> {
    const driver = this.place.driver();
    this.#closing.push(() => driver.disconnect());
    await driver.connect(new AbortController().signal);
    return driver;
  }

  /** Acquires a device with a raw driver, as a holder of its own. It is released when the test ends. */
  async acquire(driver: KeyStoreDriver, force = false, ref: DeviceRef = DEVICE): Promise<Acquired> {
    const holder = this.holder();
    const outcome: AcquireOutcome = await driver.acquire({ device: ref, holder, create: true, force });
    assert.ok(outcome.outcome === "acquired", `the device is ${outcome.outcome}`);
    const { device, epoch, revision } = outcome;
    this.#closing.push(() => device.release(holder.id));
    return { device, holder, guard: { holderId: holder.id, epoch, revision } };
  }

  /** A holder that no other has the id of. */
  holder(): LeaseHolder {
    this.#holders += 1;
    return {
      id: globalThis.crypto.randomUUID(),
      host: "host.example.org",
      pid: 4000 + this.#holders,
      label: `holder ${this.#holders}`,
    };
  }

  /** Stops the next commit in the middle; it goes on when the test ends, at the latest. */
  async holdCommits(): Promise<HeldCommits> {
    const held = await this.subject.holdCommits?.(this.place);
    assert.ok(held !== undefined, "the subject can hold commits");
    this.#closing.push(() => held.release());
    return held;
  }

  /** Another place, made once and freed when the test ends. */
  async #otherPlace(): Promise<ConformancePlace> {
    if (this.#other === undefined) {
      const place = await this.subject.create();
      this.#other = place;
      this.#closing.push(() => place.dispose());
    }
    return this.#other;
  }

  async dispose(): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
    await this.place.dispose();
  }
}

/** Initialises a store that has to become ready. */
export async function ready(store: KeyStore): Promise<KeyStore> {
  const answer = await store.init();
  const { status } = store;
  assert.equal(answer, true, status.state === "unavailable" ? `unavailable: ${status.reason}` : status.state);
  return store;
}

/** Opens a device of a store that is ready. */
export async function open(
  store: KeyStore,
  ref: DeviceRef = DEVICE,
  options: OpenDeviceOptions = {},
): Promise<DeviceStore> {
  const device = await store.openDevice(ref, { lease: "fail", ...options });
  assert.ok(device !== null, "a store that is ready does not answer null");
  return device;
}

/** A put of text. */
export function put(key: string | Uint8Array, value: string | Uint8Array, collection = SESSIONS): Change {
  return {
    type: "put",
    collection,
    key: typeof key === "string" ? text(key) : key,
    value: typeof value === "string" ? text(value) : value,
  };
}

/** A deletion of one key. */
export function del(key: string | Uint8Array, collection = SESSIONS): Change {
  return { type: "delete", collection, key: typeof key === "string" ? text(key) : key };
}

/** What a driver is asked to commit: puts into one collection, in bytewise order. */
export function puts(...records: readonly (readonly [key: string, value: string])[]): CollectionChanges[] {
  return [
    {
      collection: SESSIONS,
      drop: false,
      removed: [],
      deletes: [],
      puts: records.map(([key, value]) => ({ key: text(key), value: text(value) })),
    },
  ];
}

/** Makes tests of definitions, each with a scene of its own. */
export function collector(
  subject: ConformanceSubject,
  options: KeyStoreOptions,
): { readonly tests: ConformanceTest[]; readonly define: Define } {
  const tests: ConformanceTest[] = [];
  const names = new Set<string>();
  const define: Define = (name, run, { timeoutMs = 30_000, needs } = {}) => {
    assert.ok(!names.has(name), `two tests are named: ${name}`);
    names.add(name);
    if (needs !== undefined && subject[needs] === undefined) return;
    // The runner's limit is only for what does not end by its own: a place that cannot be made or freed.
    tests.push({ name, timeoutMs: timeoutMs + 10_000, run: () => runOnce(subject, options, run, timeoutMs) });
  };
  return { tests, define };
}

/** Runs a test in a scene of its own. */
async function runOnce(
  subject: ConformanceSubject,
  options: KeyStoreOptions,
  run: (scene: Scene) => Promise<void>,
  timeoutMs: number,
): Promise<void> {
  const scene = new Scene(subject, await subject.create(), options);
  try {
    if (!(await endsWithin(timeoutMs, run(scene)))) assert.fail(`did not end within ${timeoutMs} ms`);
  } catch (error) {
    // The test's own failure is the one to tell; that closing fails after it, or never ends, follows from it.
    await endsWithin(
      2_000,
      scene.dispose().catch(() => {}),
    );
    throw error;
  }
  await scene.dispose();
}

/** Whether `work` resolves within a time limit; rejects where it does. */
async function endsWithin(limitMs: number, work: Promise<void>): Promise<boolean> {
  const patience = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => patience.resolve(false), limitMs);
  try {
    return await Promise.race([work.then(() => true), patience.promise]);
  } finally {
    clearTimeout(timer);
  }
}
