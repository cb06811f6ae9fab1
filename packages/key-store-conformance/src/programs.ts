import assert from "node:assert/strict";
import type { DeviceStore, KeyStore } from "@holdfast/key-store-core";
import fc from "fast-check";
import { toHex } from "./bytes.ts";
import { hexes, pairs, rejection } from "./expect.ts";
import { type Commit, ModelDevice, programs, type Read, type Step } from "./model.ts";
import { type Define, open } from "./scene.ts";

const CACHES = {
  "without a cache": 0,
  // Holds a handful of records: everything in it is soon pushed out.
  "through a tiny cache": 1_024,
  "through a large cache": 16 * 1024 * 1024,
} as const;

const RUNS = 40;

/** A device store and its model, which take every step together. */
class Pair {
  readonly #store: KeyStore;
  readonly #deviceId: string;
  #device: DeviceStore;
  #model = new ModelDevice();
  #revision = 0n;

  constructor(store: KeyStore, device: DeviceStore) {
    this.#store = store;
    this.#device = device;
    this.#deviceId = device.device.deviceId;
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.type === "batch") await this.#batch(step.steps, step.rejects);
      else if (step.type === "reopen") await this.#reopen();
      else if (step.type === "commit") {
        await this.#commit(step);
        if (step.changes.length > 0) this.#revision += 1n;
      } else await this.#read(step);
      assert.equal(this.#device.revision, this.#revision, `the revision after ${step.type}`);
    }
    await this.#reopen();
    await this.#compare();
  }

  async #commit(step: Commit): Promise<void> {
    await this.#device.commit(step.changes);
    this.#model.apply(step.changes);
  }

  async #batch(steps: readonly (Read | Commit)[], rejects: boolean): Promise<void> {
    const reason = new Error("the work of a batch rejects");
    const batch = () =>
      this.#device.batch(async () => {
        for (const step of steps) await (step.type === "commit" ? this.#commit(step) : this.#read(step));
        if (rejects) throw reason;
      });
    if (rejects) assert.equal(await rejection(batch), reason);
    else await batch();
    if (steps.some((step) => step.type === "commit" && step.changes.length > 0)) this.#revision += 1n;
  }

  async #read(step: Read): Promise<void> {
    const { collection } = step;
    switch (step.type) {
      case "getMany": {
        const expected = step.keys.map((key) => this.#model.get(collection, key));
        assert.deepEqual(hexes(await this.#device.getMany(collection, step.keys)), hexes(expected), "getMany");
        for (const [nth, key] of step.keys.entries()) {
          const known = this.#device.peek === undefined ? "unknown" : this.#device.peek(collection, key);
          if (known !== "unknown") assert.equal(toHex(known), toHex(expected[nth]), "peek");
        }
        return;
      }
      case "list": {
        const expected = this.#model.list(collection, step.range, step.page);
        assert.deepEqual(pairs(await this.#device.list(collection, step.range, step.page)), pairs(expected), "list");
        return;
      }
      case "count":
        assert.equal(await this.#device.count(collection, step.range), this.#model.count(collection, step.range));
    }
  }

  async #reopen(): Promise<void> {
    const { userId } = this.#device.device;
    const { epoch } = this.#device;
    await this.#device.close();
    this.#device = await open(this.#store, { userId, deviceId: this.#deviceId });
    assert.ok(this.#device.epoch > epoch, "the epoch grows with every opening");
    assert.equal(this.#device.revision, this.#revision, "the revision persists");
  }

  /** Everything that is stored, and what the store counts of it. */
  async #compare(): Promise<void> {
    const usage = this.#model.usage();
    const sum = { records: 0, bytes: 0 };
    for (const collection of ["a", "b"]) {
      const expected = this.#model.list(collection, {}, { limit: Number.MAX_SAFE_INTEGER });
      assert.deepEqual(pairs(await this.#device.list(collection, {}, { limit: 10_000 })), pairs(expected), collection);
      sum.records += usage.get(collection)?.records ?? 0;
      sum.bytes += usage.get(collection)?.bytes ?? 0;
    }
    const summary = (await this.#store.listDevices()).find(({ deviceId }) => deviceId === this.#deviceId);
    assert.deepEqual({ records: summary?.records, bytes: summary?.bytes }, sum, "the counters equal what is stored");
  }
}

export function programTests(define: Define): void {
  for (const [how, cacheBytes] of Object.entries(CACHES)) {
    define(
      `random programs of commits, batches and reads do as a model does, ${how}`,
      async (scene) => {
        const store = await scene.store({ cacheBytes });
        let run = 0;
        await fc.assert(
          fc.asyncProperty(programs, async (steps) => {
            const device = await open(store, { userId: "@bot:example.org", deviceId: `PROGRAM${++run}` });
            await new Pair(store, device).run(steps);
          }),
          { numRuns: RUNS },
        );
      },
      { timeoutMs: 120_000 },
    );
  }
}
