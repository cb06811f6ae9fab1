import assert from "node:assert/strict";
import { type ConformanceTest, keyStoreConformance } from "@holdfast/key-store-conformance";
import { isKeyStoreError } from "@holdfast/key-store-core";
import { describe, it } from "vitest";
import { type BrokenStore, subjectOf } from "./support/broken.ts";
import { brokenBatches } from "./support/broken-batches.ts";
import { brokenCommits } from "./support/broken-commits.ts";
import { brokenLives } from "./support/broken-lives.ts";
import { brokenMoves } from "./support/broken-moves.ts";
import { brokenReads } from "./support/broken-reads.ts";

const BROKEN: readonly BrokenStore[] = [
  ...brokenReads,
  ...brokenCommits,
  ...brokenBatches,
  ...brokenLives,
  ...brokenMoves,
];

function testOf(tests: readonly ConformanceTest[], name: string): ConformanceTest {
  const found = tests.find((test) => test.name === name);
  assert.ok(found !== undefined, `the suite has no test named: ${name}`);
  return found;
}

/** What the test says of the store, which has to be a judgement and not an accident. */
async function verdictOn(broken: BrokenStore): Promise<string | undefined> {
  const test = testOf(keyStoreConformance(subjectOf(broken)), broken.caughtBy);
  try {
    await test.run();
  } catch (error) {
    if (error instanceof assert.AssertionError || isKeyStoreError(error)) return error.message;
    throw error;
  }
  return undefined;
}

describe("the conformance suite catches a store that", () => {
  for (const broken of BROKEN) {
    it(broken.that, async () => {
      assert.notEqual(await verdictOn(broken), undefined, `not caught by: ${broken.caughtBy}`);
    });
  }
});

describe("the conformance suite lets a store pass that breaks nothing, and has row locks", () => {
  const tests = keyStoreConformance(subjectOf({}));
  for (const name of new Set(BROKEN.map(({ caughtBy }) => caughtBy))) {
    const test = testOf(tests, name);
    it(name, test.run, test.timeoutMs);
  }
  const held = "a commit whose first attempt still runs in the database waits for it and is applied once";
  it(held, testOf(tests, held).run);
});

describe("the conformance suite", () => {
  it("leaves out the tests of a capability that a subject lacks, and no others", () => {
    const { create } = subjectOf({});
    const all = keyStoreConformance(subjectOf({})).map(({ name }) => name);
    const without = keyStoreConformance({ create }).map(({ name }) => name);
    const left = all.filter((name) => !without.includes(name));
    assert.deepEqual(left, [
      "a lease whose time limit is over may be taken, which fences its holder",
      "a lease that ran out and that nobody took still guards its holder's commits",
      "a device whose lease ran out can be deleted",
      "settling waits for an attempt that is still running, and tells its outcome",
      "a commit whose first attempt still runs in the database waits for it and is applied once",
    ]);
    assert.equal(without.length, all.length - left.length);
  });

  it("frees every place that it asked for", async () => {
    let open = 0;
    const subject = subjectOf({});
    const counting: typeof subject = {
      async create() {
        const place = await subject.create();
        open += 1;
        return {
          ...place,
          async dispose() {
            open -= 1;
          },
        };
      },
    };
    await testOf(keyStoreConformance(counting), "init answers true and the status says ready").run();
    assert.equal(open, 0);
  });
});
