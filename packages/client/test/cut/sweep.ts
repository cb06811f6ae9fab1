import { DriverKeyStore, type KeyStore, type KeyStoreDriver } from "@holdfast/key-store-core";
import type { OlmEngine } from "../../src/index.ts";
import { CutDriver, type CutPoint, type Operation, pointName } from "./cut-driver.ts";
import type { Place } from "./place.ts";
import { identityOf, type Left, openEngine, type Play, type Scenario, type Stage } from "./scenario.ts";
import { restore, takeSnapshot } from "./snapshot.ts";

/** How a process sees the store: whole, or as somebody who gets the engine's calls wrong would have it. */
type Wrap = (keyStore: KeyStore) => KeyStore;

/** What the calls do when nothing is cut. */
interface Undisturbed {
  readonly operations: readonly Operation[];
  readonly outcome: unknown;
}

/** One life of a device whose store was cut. */
export interface Trial {
  readonly point: CutPoint;
  /** Whether the calls got as far as the point. */
  readonly isCut: boolean;
  /** What the calls failed with; `undefined` where they claimed success. */
  readonly failure: unknown;
  /** What the same engine answers to a call after that. */
  readonly nextCall: unknown;
  /** How much had left the process that leaves, undisturbed, only after a commit that had no answer yet. */
  readonly leftTooSoon: number;
  /** How far the revision that the next process finds is from what was acknowledged. */
  readonly unacknowledged: bigint;
  /** Whether the commit whose answer was lost had been applied; `undefined` where there was none. */
  readonly landed: unknown;
  readonly found: string | undefined;
  readonly identity: string;
  /** The identity that the process after the next one finds. */
  readonly laterIdentity: string;
  readonly outcome: unknown;
}

/** A sweep over every point of the calls. */
export interface Sweep {
  readonly identity: string;
  readonly undisturbed: Undisturbed;
  readonly trials: readonly Trial[];
}

export interface SweepOptions {
  /** What stands between the engine and the store while it is cut. Default: nothing. */
  readonly wrap?: Wrap | undefined;
  /** Whether to try also that the store is back at once. Default: `false`. */
  readonly andBack?: boolean | undefined;
}

/**
 * Every point at which calls can be cut: each operation fails before it is
 * carried out, and the answer of each commit is lost, with the store gone
 * afterwards; and, if that is asked for, each fails alone.
 */
export function cutPoints(operations: readonly Operation[], andBack: boolean): CutPoint[] {
  return operations.flatMap((operation, after): CutPoint[] => [
    { after, operation, lost: "request", afterwards: "gone" },
    ...(operation === "commit" ? [{ after, operation, lost: "answer", afterwards: "gone" } as const] : []),
    ...(andBack ? [{ after, operation, lost: "request", afterwards: "back" } as const] : []),
  ]);
}

/** Plays a scenario undisturbed, and then once for each point at which it can be cut. */
export async function sweep(
  place: Place,
  stage: Stage,
  scenario: Scenario,
  options: SweepOptions = {},
): Promise<Sweep> {
  const theatre = await Theatre.open(place, stage, scenario, options.wrap ?? ((keyStore) => keyStore));
  const undisturbed = await theatre.undisturbed();
  const trials: Trial[] = [];
  for (const point of cutPoints(undisturbed.operations, options.andBack ?? false)) {
    trials.push(await theatre.disturbed(point));
  }
  return { identity: theatre.identity, undisturbed, trials };
}

class Theatre {
  /** The identity that the device had before. */
  identity = "";
  readonly #place: Place;
  readonly #stage: Stage;
  readonly #scenario: Scenario;
  readonly #wrap: Wrap;
  readonly #play: () => Promise<Play>;
  readonly #snapshot: Awaited<ReturnType<typeof takeSnapshot>>;
  /** How many commits had been answered when each thing left, undisturbed. */
  #leaves: readonly number[] = [];

  private constructor(
    place: Place,
    stage: Stage,
    scenario: Scenario,
    wrap: Wrap,
    play: () => Promise<Play>,
    snapshot: Awaited<ReturnType<typeof takeSnapshot>>,
  ) {
    this.#place = place;
    this.#stage = stage;
    this.#scenario = scenario;
    this.#wrap = wrap;
    this.#play = play;
    this.#snapshot = snapshot;
  }

  static async open(place: Place, stage: Stage, scenario: Scenario, wrap: Wrap): Promise<Theatre> {
    const play = await scenario.prepare(stage);
    return new Theatre(place, stage, scenario, wrap, play, await takeSnapshot(stage.keyStore, stage.device));
  }

  async undisturbed(): Promise<Undisturbed> {
    const play = await this.#rise();
    const driver = new CutDriver(this.#place.driver());
    await using keyStore = await ready(driver, this.#place.cacheBytes);
    const left = new LeftByNow(() => driver.acknowledged);
    await using engine = await this.#begin(driver, keyStore, undefined);
    this.identity = identityOf(engine);
    await play.act(engine, left);
    const operations = [...driver.operations];
    this.#leaves = [...left.leaves];
    return { operations, outcome: await play.outcome(engine, left) };
  }

  async disturbed(point: CutPoint): Promise<Trial> {
    const play = await this.#rise();
    const before = await this.#revision(this.#stage.keyStore);
    const driver = new CutDriver(this.#place.driver());
    const left = new LeftByNow(() => driver.acknowledged);
    const { failure, nextCall } = await this.#firstProcess(driver, play, left, point);
    const landed = await driver.landed;
    const { acknowledged, isCut } = driver;
    const allowed = this.#leaves.filter((commits) => commits <= acknowledged).length;
    const leftTooSoon = Math.max(0, left.leaves.length - allowed);
    const next = await this.#nextProcess(play, left, before + BigInt(acknowledged));
    return { point, isCut, failure, nextCall, leftTooSoon, landed, ...next };
  }

  /** The device as it was, and its peers. */
  async #rise(): Promise<Play> {
    await restore(this.#stage.keyStore, this.#stage.device, this.#snapshot);
    return this.#play();
  }

  async #firstProcess(driver: CutDriver, play: Play, left: Left, point: CutPoint) {
    const keyStore = await ready(driver, this.#place.cacheBytes);
    let engine: OlmEngine | undefined;
    let failure: unknown;
    try {
      engine = await settling(point, this.#begin(driver, keyStore, point));
      await settling(point, play.act(engine, left));
    } catch (error) {
      // A failure before the cut, or none after it, is not what is being tried.
      if (!driver.isCut || error instanceof Unsettled) throw error;
      failure = error;
    }
    const nextCall = engine && (await failureOfNext(engine));
    await engine?.close();
    await keyStore.close();
    return { failure, nextCall };
  }

  async #nextProcess(play: Play, left: Left, acknowledged: bigint) {
    await using keyStore = await ready(this.#place.driver(), this.#place.cacheBytes);
    const unacknowledged = (await this.#revision(keyStore)) - acknowledged;
    const engine = await openEngine(keyStore, this.#stage.device);
    const found = await play.found?.(engine);
    await play.act(engine, left);
    const [identity, outcome] = [identityOf(engine), await play.outcome(engine, left)];
    await engine.close();
    await using later = await openEngine(keyStore, this.#stage.device);
    return { unacknowledged, found, identity, laterIdentity: identityOf(later), outcome };
  }

  async #begin(driver: CutDriver, keyStore: KeyStore, point: CutPoint | undefined): Promise<OlmEngine> {
    const opening = this.#scenario.begins === "opening";
    if (opening) driver.arm(point);
    const engine = await openEngine(this.#wrap(keyStore), this.#stage.device);
    if (!opening) driver.arm(point);
    return engine;
  }

  async #revision(keyStore: KeyStore): Promise<bigint> {
    const { userId } = this.#stage.device;
    return (await keyStore.listDevices()).find((device) => device.userId === userId)?.revision ?? 0n;
  }
}

class LeftByNow implements Left {
  readonly #acknowledged: () => number;
  readonly #leaves: number[] = [];

  constructor(acknowledged: () => number) {
    this.#acknowledged = acknowledged;
  }

  /** How many commits had been answered when each thing left. */
  get leaves(): readonly number[] {
    return this.#leaves;
  }

  leave<T>(what: T): T {
    this.#leaves.push(this.#acknowledged());
    return what;
  }
}

async function ready(driver: KeyStoreDriver, cacheBytes: number | undefined): Promise<KeyStore> {
  const keyStore = new DriverKeyStore(driver, { cacheBytes });
  if (!(await keyStore.init())) throw new Error(`the store is not ready: ${JSON.stringify(keyStore.status)}`);
  return keyStore;
}

async function failureOfNext(engine: OlmEngine): Promise<unknown> {
  return engine
    .run(async () => {})
    .then(
      () => undefined,
      (error: unknown) => error,
    );
}

/** How long a call may take, in milliseconds, before it counts as one that never comes to an end. */
const SETTLES_WITHIN_MS = 30_000;

class Unsettled extends Error {}

/** Settles as a call does; a call that never does is told with its point. */
async function settling<T>(point: CutPoint, call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new Unsettled(`the call never settled after a cut at ${pointName(point)}`));
    timer = setTimeout(fail, SETTLES_WITHIN_MS);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
