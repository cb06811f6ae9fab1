import { IDBFactory as FakeFactory, IDBKeyRange as FakeKeyRange } from "fake-indexeddb";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIndexedDB, IDBKeyRange } from "../src/index.ts";
import { program } from "./support/programs.ts";
import { type Api, run } from "./support/run-program.ts";
import { openDevice } from "./support/stores.ts";

/** Programs per run: more with the environment variable, for a longer search. */
const RUNS = Number(process.env.HOLDFAST_PROGRAMS ?? 300);

describe("random programs", () => {
  it("have the same results and the same events as on another implementation", async () => {
    await fc.assert(
      fc.asyncProperty(program(), async (steps) => {
        const ours: Api = { factory: createIndexedDB(await openDevice()), IDBKeyRange };
        const theirs = { factory: new FakeFactory(), IDBKeyRange: FakeKeyRange } as unknown as Api;
        expect(await run(ours, steps)).toEqual(await run(theirs, steps));
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: 20_000 + RUNS * 20 },
    );
  }, 120_000);
});
