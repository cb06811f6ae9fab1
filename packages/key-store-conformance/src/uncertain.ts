import assert from "node:assert/strict";
import { type DeviceStore, isKeyStoreError } from "@holdfast/key-store-core";
import { text, toHex } from "./bytes.ts";
import { assertPoisoned, pairs, rejection, rejectsWith } from "./expect.ts";
import { cut, cutAfter, cutBefore, type Fault, fatal, LIMITS, silence } from "./faulty-driver.ts";
import { ALL, DEVICE, type Define, del, open, put, puts, type Scene, SESSIONS } from "./scene.ts";

/** What may befall one commit, and how often the database is asked for it all in all. */
const CUTS: readonly (readonly [
  name: string,
  commits: readonly Fault<"commit">[],
  looks: readonly Fault<"settle">[],
])[] = [
  ["whose request is lost", [cutBefore], []],
  ["whose answer is lost", [cutAfter], []],
  ["whose request and answer are lost in turn", [cutBefore, cutAfter], []],
  ["whose answer is lost, and the look's request", [cutAfter], [cutBefore]],
  ["whose answer is lost, and the look's answer", [cutAfter], [cutAfter]],
  ["whose request is lost, and the look's answer", [cutBefore], [cutAfter, cutAfter]],
  ["that is cut many times", [cutBefore, cutBefore, cutBefore, cutAfter], [cutBefore]],
];

async function assertAppliedOnce(scene: Scene, device: DeviceStore): Promise<void> {
  assert.equal(device.revision, 2n);
  await device.commit([put("next", "3")]);
  assert.equal(device.revision, 3n, "the store works on");
  await device.close();
  const again = await scene.device();
  assert.equal(again.revision, 3n);
  assert.deepEqual(pairs(await again.list(SESSIONS, {}, { limit: 9 })), [
    [toHex(text("a")), toHex(text("2"))],
    [toHex(text("next")), toHex(text("3"))],
  ]);
}

export function uncertainTests(define: Define): void {
  for (const [name, commits, looks] of CUTS) {
    define(`a commit ${name} is applied exactly once`, async (scene) => {
      const { driver, store, device } = await scene.faultyDevice();
      await device.commit([put("a", "1"), put("b", "1")]);
      driver.next("commit", ...commits);
      driver.next("settle", ...looks);
      await device.commit([put("a", "2"), del("b")]);
      assert.equal(device.failed.aborted, false);
      await assertAppliedOnce(scene, device);
      assert.ok((await store.stats()).counters.retries >= commits.length, "retries are counted");
    });
  }

  define("a first attempt that arrives after the look is refused", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    let late: (() => Promise<boolean>) | undefined;
    driver.next("commit", async (attempt) => {
      late = attempt;
      throw cut();
    });
    await device.commit([put("a", "2")]);
    assert.equal(await late?.(), false);
    await assertAppliedOnce(scene, device);
  });

  define("a first attempt that arrives between the look and the second attempt is refused", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    let late: (() => Promise<boolean>) | undefined;
    let arrived: boolean | undefined;
    driver.next(
      "commit",
      async (attempt) => {
        late = attempt;
        throw cut();
      },
      async (attempt) => {
        arrived = await late?.();
        return attempt();
      },
    );
    await device.commit([put("a", "2")]);
    assert.equal(arrived, false);
    await assertAppliedOnce(scene, device);
  });

  define("a first attempt that arrives just before the look is the one that counts", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    let late: (() => Promise<boolean>) | undefined;
    let arrived: boolean | undefined;
    driver.next("commit", async (attempt) => {
      late = attempt;
      throw cut();
    });
    driver.next("settle", async (attempt) => {
      arrived = await late?.();
      return attempt();
    });
    await device.commit([put("a", "2")]);
    assert.equal(arrived, true);
    assert.equal(driver.calls("commit"), 2, "it is not sent again");
    await assertAppliedOnce(scene, device);
  });

  define("a first attempt that runs beside the look is applied once, whichever comes first", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    for (let round = 1n; round <= 10n; round++) {
      let running: Promise<boolean> | undefined;
      // The first attempt and the look start in the same turn.
      driver.next("commit", async (attempt) => {
        driver.next("settle", (look) => {
          running = attempt();
          return look();
        });
        throw cut();
      });
      await device.commit([put(`${round}`, "once")]);
      assert.equal(typeof (await running), "boolean");
      assert.equal(device.revision, round);
    }
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 10n);
    assert.equal(await again.count(SESSIONS), 10);
  });

  define("a commit that the database never answers is settled and sent again within its time limit", async (scene) => {
    const { driver, device } = await scene.faultyDevice({ commitTimeoutMs: 3_000 });
    await device.commit([put("a", "1")]);
    driver.next("commit", silence);
    await device.commit([put("a", "2")]);
    await assertAppliedOnce(scene, device);
  });

  define("a commit whose outcome stays unknown rejects and poisons", async (scene) => {
    const { driver, device } = await scene.faultyDevice(LIMITS);
    await device.commit([put("a", "1")]);
    driver.next("commit", cutAfter);
    driver.cutEverything();
    const error = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => device.commit([put("a", "2"), put("b", "2")]));
    assert.equal(error.retryable, true);
    await assertPoisoned(device, error);
    driver.heal();
    await assertPoisoned(device, error);
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 2n, "it was applied, and whole");
    assert.deepEqual(
      (await again.getMany(SESSIONS, [text("a"), text("b")])).map((value) => toHex(value)),
      ["32", "32"],
    );
  });

  define(
    "a commit whose answer is lost has an unknown outcome, though the look after it fails for good",
    async (scene) => {
      const { driver, device } = await scene.faultyDevice();
      driver.next("commit", cutAfter);
      driver.next("settle", fatal("ERR_KEY_STORE_CONFIG"));
      const error = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => device.commit([put("a", "1")]));
      assert.ok(isKeyStoreError(error.cause, "ERR_KEY_STORE_CONFIG"));
      await assertPoisoned(device, error);
      await device.close();
      assert.equal((await scene.device()).revision, 1n, "it was applied");
    },
  );

  define("a commit that never reached the database rejects, poisons, and leaves nothing", async (scene) => {
    const { driver, device } = await scene.faultyDevice(LIMITS);
    await device.commit([put("a", "1")]);
    driver.cutEverything();
    const error = await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => device.commit([put("a", "2"), put("b", "2")]));
    await assertPoisoned(device, error);
    driver.heal();
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 1n);
    assert.deepEqual(pairs(await again.list(SESSIONS, {}, { limit: 9 })), [["61", "31"]]);
  });

  define("commits that wait behind one that fails are rejected too, and write nothing", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.next("commit", fatal());
    const first = rejection(() => device.commit([put("a", "1")]));
    const second = rejection(() => device.commit([put("b", "2")]));
    const batch = rejection(() => device.batch(() => device.commit([put("c", "3")])));
    const failure = await first;
    const waited = await rejectsWith("ERR_KEY_STORE_POISONED", async () => {
      throw await second;
    });
    assert.equal(waited.cause, failure);
    assert.equal(await batch, failure, "a batch that runs when the store fails rejects with that failure");
    driver.heal();
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 0n);
    assert.equal(await again.count(SESSIONS), 0);
  });

  define(
    "a device taken over while a commit was uncertain is fenced, and the commit is not sent again",
    async (scene) => {
      const { driver, device } = await scene.faultyDevice();
      const rivalStore = await scene.store();
      driver.next("commit", async () => {
        const rival = await open(rivalStore, DEVICE, { lease: "take-over" });
        await rival.commit([put("a", "the rival's")]);
        await rival.close();
        throw cut();
      });
      const error = await rejectsWith("ERR_KEY_STORE_FENCED", () => device.commit([put("a", "lost")]));
      await assertPoisoned(device, error);
      assert.equal(driver.calls("commit"), 1);
      const again = await open(rivalStore);
      assert.equal(again.revision, 1n);
      assert.equal(toHex(await again.get(SESSIONS, text("a"))), toHex(text("the rival's")));
    },
  );

  define("an uncertain commit on a database that went back is a rollback", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    driver.next("commit", cutBefore);
    driver.next("settle", async (attempt) => {
      const state = await attempt();
      assert.ok(state !== undefined);
      return { ...state, revision: 0n };
    });
    const error = await rejectsWith("ERR_KEY_STORE_ROLLBACK", () => device.commit([put("a", "2")]));
    await assertPoisoned(device, error);
  });

  define("a failure that is not a broken connection is not tried again, and poisons", async (scene) => {
    const { driver, device } = await scene.faultyDevice();
    driver.next("commit", fatal());
    const full = await rejectsWith("ERR_KEY_STORE_DISK_FULL", () => device.commit([put("a", "1")]));
    assert.equal(driver.calls("commit"), 1);
    await assertPoisoned(device, full);
    await device.close();
    assert.equal((await scene.device()).revision, 0n);
  });

  define(
    "settling waits for an attempt that is still running, and tells its outcome",
    async (scene) => {
      const { device, guard, holder } = await scene.acquire(await scene.driver());
      assert.equal(await device.commit(guard, puts(["a", "1"])), true);
      const held = await scene.holdCommits();
      const second = { ...guard, revision: guard.revision + 1n };
      const running = device.commit(second, puts(["a", "2"]));
      await held.reached;
      let settledEarly = false;
      const settling = device.settle(holder.id);
      await Promise.race([
        held.waitedFor,
        settling.then(() => {
          settledEarly = true;
        }),
      ]);
      assert.equal(settledEarly, false, "the look waits for the attempt");
      await held.release();
      assert.equal(await running, true);
      assert.deepEqual(await settling, { holder, epoch: guard.epoch + 1n, revision: second.revision + 1n });
      assert.deepEqual(pairs(await device.list(SESSIONS, ALL, { limit: 9 })), [["61", "32"]]);
    },
    { needs: "holdCommits" },
  );

  define(
    "a commit whose first attempt still runs in the database waits for it and is applied once",
    async (scene) => {
      const { driver, device } = await scene.faultyDevice();
      await device.commit([put("a", "1")]);
      const held = await scene.holdCommits();
      let running: Promise<boolean> | undefined;
      driver.next("commit", async (attempt) => {
        running = attempt();
        await held.reached;
        throw cut();
      });
      const commit = device.commit([put("a", "2")]);
      await held.waitedFor;
      await held.release();
      await commit;
      assert.equal(await running, true);
      assert.equal(driver.calls("commit"), 2, "it is not sent again");
      await assertAppliedOnce(scene, device);
    },
    { needs: "holdCommits" },
  );
}
