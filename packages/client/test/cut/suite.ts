import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { DriverKeyStore, isKeyStoreError, type KeyStore } from "@holdfast/key-store-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectedCode, pointName } from "./cut-driver.ts";
import type { Place } from "./place.ts";
import { type Scenario, Stage } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { cutPoints, type Sweep, sweep, type Trial } from "./sweep.ts";

/** A scenario opens a device a hundred times and more: on a busy machine that is more than the usual test may take. */
const TIMEOUT_MS = 120_000;

/** What the homeserver and the store of a test file are. */
export interface House {
  readonly place: Place;
  /** A stage with accounts of its own. */
  stage(): Promise<Stage>;
}

/** Opens the house before the tests of a file, and closes it after them. */
export function useHouse(makePlace: () => Promise<Place>): () => House {
  let server: DevHomeserver;
  let place: Place;
  let keyStore: KeyStore;
  let stages = 0;
  beforeAll(async () => {
    server = await startDevHomeserver();
    place = await makePlace();
    keyStore = new DriverKeyStore(place.driver());
    expect(await keyStore.init()).toBe(true);
  });
  afterAll(async () => {
    await keyStore?.close();
    await place?.[Symbol.asyncDispose]();
    await server?.close();
  });
  return () => ({
    place,
    stage() {
      stages += 1;
      return Stage.set(server, keyStore, `stage-${stages}`);
    },
  });
}

/**
 * Each call that writes, cut at each of its operations, on one kind of store.
 *
 * @param options `andBack`: whether each operation is also tried to fail alone. Default: `false`
 */
export function cutSuite(name: string, makePlace: () => Promise<Place>, options: { andBack?: boolean } = {}): void {
  const { andBack = false } = options;
  const house = useHouse(makePlace);

  describe(`on ${name}, wherever the store is cut and the process with it`, () => {
    it.each(scenarios)(
      "$name is whole or has not been, and comes to the same when it is repeated",
      async (scenario) => {
        const { place, stage } = house();
        const swept = await sweep(place, await stage(), scenario, { andBack });
        expectAllPoints(swept, scenario, andBack);
        for (const trial of swept.trials) {
          expect(judged(trial), pointName(trial.point)).toEqual(expectedOf(swept, scenario, trial));
        }
      },
      TIMEOUT_MS,
    );
  });
}

/** The sweep went through every operation that the calls make, and there were some. */
function expectAllPoints({ undisturbed, trials }: Sweep, { commits }: Scenario, andBack: boolean): void {
  const { operations } = undisturbed;
  expect(operations.length).toBeGreaterThan(0);
  expect(operations.filter((operation) => operation === "commit")).toHaveLength(commits);
  expect(trials.map(({ point }) => point)).toEqual(cutPoints(operations, andBack));
  expect(trials).toHaveLength((andBack ? 2 : 1) * operations.length + commits);
}

/** What a trial showed, as a test compares it. */
function judged(trial: Trial) {
  const { failure, nextCall, landed, leftTooSoon, unacknowledged, isCut, identity, laterIdentity, outcome, found } =
    trial;
  return {
    isCut,
    failure: codeOf(failure),
    nextCall: codeOf(nextCall),
    leftTooSoon,
    unacknowledged,
    landed,
    found,
    identity,
    laterIdentity,
    outcome,
  };
}

function expectedOf(
  { identity, undisturbed }: Sweep,
  { begins, commits }: Scenario,
  { point, found, identity: own }: Trial,
) {
  const answerLost = point.lost === "answer";
  // An engine that never opened takes no calls.
  const nextCall = begins === "opening" ? "none" : "ERR_KEY_STORE_POISONED";
  return {
    isCut: true,
    failure: expectedCode(point),
    nextCall,
    leftTooSoon: 0,
    unacknowledged: answerLost ? 1n : 0n,
    landed: answerLost ? true : undefined,
    found: found === undefined || commits > 1 ? found : answerLost ? "everything" : "nothing",
    // A new device's identity is the store's to tell: nothing of it had left the process.
    identity: begins === "opening" && commits > 0 ? own : identity,
    laterIdentity: own,
    outcome: undisturbed.outcome,
  };
}

function codeOf(error: unknown): string {
  if (error === undefined) return "none";
  return isKeyStoreError(error) ? error.code : `no error of the key store: ${String(error)}`;
}
