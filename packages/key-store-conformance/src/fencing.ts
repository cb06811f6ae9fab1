import assert from "node:assert/strict";
import type { DeviceDriver, DeviceState, Guard } from "@holdfast/key-store-core";
import { hex, text } from "./bytes.ts";
import { assertPoisoned, pairs, rejectsWith } from "./expect.ts";
import { type Acquired, ALL, DEVICE, type Define, open, put, puts, SESSIONS } from "./scene.ts";

/** Guards that differ from the row in one way each. */
const WRONG: readonly (readonly [what: string, change: (guard: Guard) => Partial<Guard>])[] = [
  ["another holder", () => ({ holderId: "00000000-0000-4000-8000-000000000000" })],
  ["no holder", () => ({ holderId: "" })],
  ["an older epoch", ({ epoch }) => ({ epoch: epoch - 1n })],
  ["a newer epoch", ({ epoch }) => ({ epoch: epoch + 1n })],
  ["an older revision", ({ revision }) => ({ revision: revision - 1n })],
  ["a newer revision", ({ revision }) => ({ revision: revision + 1n })],
  ["an epoch and a revision changed for one another", ({ epoch, revision }) => ({ epoch: revision, revision: epoch })],
];

/** A row with epoch 2 and revision 1, so that a guard can be older in both. */
async function secondEpoch(acquired: Acquired, again: () => Promise<Acquired>): Promise<Acquired> {
  assert.equal(await acquired.device.commit(acquired.guard, puts(["a", "1"])), true);
  return again();
}

async function stored(device: DeviceDriver): Promise<[string, string][]> {
  return pairs(await device.list(SESSIONS, ALL, { limit: 100 }));
}

async function row(device: DeviceDriver): Promise<Pick<DeviceState, "epoch" | "revision"> | undefined> {
  const state = await device.state();
  return state && { epoch: state.epoch, revision: state.revision };
}

export function fencingTests(define: Define): void {
  for (const [what, change] of WRONG) {
    define(`a commit whose guard has ${what} is refused and writes nothing`, async (scene) => {
      const driver = await scene.driver();
      const acquired = await secondEpoch(await scene.acquire(driver), async () => {
        const taken = await scene.acquire(driver, true);
        assert.equal(await taken.device.commit(taken.guard, puts(["b", "2"])), true);
        assert.equal(await taken.device.commit({ ...taken.guard, revision: 2n }, puts(["c", "3"])), true);
        return { ...taken, guard: { ...taken.guard, revision: 3n } };
      });
      const { device, guard } = acquired;
      const before = { records: await stored(device), row: await row(device), usage: await driver.usage() };
      const changes = [
        { collection: SESSIONS, drop: false, removed: [ALL], deletes: [], puts: [] },
        { collection: "new", drop: false, removed: [], deletes: [], puts: [{ key: text("a"), value: text("x") }] },
      ];
      assert.equal(await device.commit({ ...guard, ...change(guard) }, changes), false);
      assert.deepEqual(await stored(device), before.records);
      assert.deepEqual(await row(device), before.row);
      assert.deepEqual(await driver.usage(), before.usage);
      assert.equal(await device.commit(guard, puts(["d", "4"])), true, "the right guard still passes");
      assert.deepEqual(await row(device), { epoch: guard.epoch, revision: guard.revision + 1n });
    });
  }

  define("of two commits with the same guard one is applied, whole", async (scene) => {
    const { device, guard } = await scene.acquire(await scene.driver());
    const both = await Promise.all([
      device.commit(guard, puts(["a", "1"], ["b", "1"])),
      device.commit(guard, puts(["a", "2"], ["b", "2"])),
    ]);
    assert.deepEqual([...both].sort(), [false, true]);
    assert.equal((await row(device))?.revision, guard.revision + 1n);
    const value = both[0] ? "31" : "32";
    assert.deepEqual(await stored(device), [
      ["61", value],
      ["62", value],
    ]);
  });

  define("a large commit with a stale guard leaves nothing behind", async (scene) => {
    const driver = await scene.driver();
    const { device, guard } = await scene.acquire(driver);
    const large = Array.from({ length: 12 }, (_, at) => ({
      key: new Uint8Array([at]),
      value: new Uint8Array(1 << 20).fill(at),
    }));
    const changes = [{ collection: SESSIONS, drop: false, removed: [], deletes: [], puts: large }];
    assert.equal(await device.commit({ ...guard, epoch: guard.epoch + 1n }, changes), false);
    assert.deepEqual(await stored(device), []);
    assert.deepEqual(
      (await driver.usage()).collections.filter(({ records }) => records > 0),
      [],
    );
  });

  define("a holder that has given the lease back cannot commit", async (scene) => {
    const driver = await scene.driver();
    const { device, guard, holder } = await scene.acquire(driver);
    await device.release(holder.id);
    assert.equal(await device.commit(guard, puts(["a", "1"])), false);
    assert.deepEqual(await stored(device), []);
    assert.equal((await device.state())?.holder, undefined);
    await device.release(holder.id);
  });

  define("a release by somebody who has not the lease does nothing", async (scene) => {
    const driver = await scene.driver();
    const old = await scene.acquire(driver);
    const now = await scene.acquire(driver, true);
    await old.device.release(old.holder.id);
    assert.deepEqual((await now.device.state())?.holder, now.holder);
    assert.equal(await now.device.commit(now.guard, puts(["a", "1"])), true);
  });

  define("acquiring raises the epoch and keeps the revision; a new device has 1 and 0", async (scene) => {
    const driver = await scene.driver();
    const first = await scene.acquire(driver);
    assert.deepEqual([first.guard.epoch, first.guard.revision], [1n, 0n]);
    assert.equal(await first.device.commit(first.guard, puts(["a", "1"])), true);
    const request = { device: DEVICE, holder: scene.holder(), create: true, force: false };
    assert.deepEqual(await driver.acquire(request), { outcome: "held", holder: first.holder });
    await first.device.release(first.holder.id);
    const second = await scene.acquire(driver);
    assert.deepEqual([second.guard.epoch, second.guard.revision], [2n, 1n]);
    const third = await scene.acquire(driver, true);
    assert.deepEqual([third.guard.epoch, third.guard.revision], [3n, 1n]);
    assert.deepEqual(await driver.acquire({ ...request, device: { ...DEVICE, deviceId: "NO" }, create: false }), {
      outcome: "absent",
    });
  });

  define("settling raises the epoch of its holder, so that an attempt which comes late is refused", async (scene) => {
    const { device, guard, holder } = await scene.acquire(await scene.driver());
    assert.deepEqual(await device.settle(holder.id), { holder, epoch: guard.epoch + 1n, revision: guard.revision });
    assert.equal(await device.commit(guard, puts(["a", "1"])), false);
    assert.deepEqual(await stored(device), []);
    assert.equal(await device.commit({ ...guard, epoch: guard.epoch + 1n }, puts(["a", "2"])), true);
    assert.deepEqual(await device.settle(holder.id), {
      holder,
      epoch: guard.epoch + 2n,
      revision: guard.revision + 1n,
    });
  });

  define("settling by somebody who has not the lease changes nothing and tells who has it", async (scene) => {
    const driver = await scene.driver();
    const old = await scene.acquire(driver);
    const now = await scene.acquire(driver, true);
    const state = { holder: now.holder, epoch: now.guard.epoch, revision: now.guard.revision };
    assert.deepEqual(await old.device.settle(old.holder.id), state);
    assert.deepEqual(await now.device.state(), state);
    assert.equal(await now.device.commit(now.guard, puts(["a", "1"])), true);
  });

  define("a device that was deleted has no state, and takes no commit", async (scene) => {
    const driver = await scene.driver();
    const { device, guard, holder } = await scene.acquire(driver);
    await device.release(holder.id);
    assert.equal(await driver.deleteDevice(DEVICE), "deleted");
    assert.equal(await device.state(), undefined);
    assert.equal(await device.settle(holder.id), undefined);
    assert.equal(await device.commit(guard, puts(["a", "1"])), false);
    assert.deepEqual(await driver.listDevices(), []);
  });

  define("a commit that the epoch's guard refuses is fenced, and says by whom", async (scene) => {
    const { device } = await scene.faultyDevice();
    const driver = await scene.driver();
    const rival = await scene.acquire(driver, true);
    const error = await rejectsWith("ERR_KEY_STORE_FENCED", () => device.commit([put("a", "1")]));
    assert.deepEqual(error.holder, rival.holder);
    await assertPoisoned(device, error);
  });

  define("a commit on a device that was deleted is fenced", async (scene) => {
    const { device } = await scene.faultyDevice();
    const driver = await scene.driver();
    const rival = await scene.acquire(driver, true);
    await rival.device.release(rival.holder.id);
    assert.equal(await driver.deleteDevice(DEVICE), "deleted");
    await rejectsWith("ERR_KEY_STORE_FENCED", () => device.commit([put("a", "1")]));
    assert.deepEqual(await driver.listDevices(), []);
  });

  const older: readonly (readonly [string, (state: DeviceState) => DeviceState])[] = [
    ["an older revision", (state) => ({ ...state, revision: state.revision - 1n })],
    ["an older epoch", (state) => ({ ...state, epoch: state.epoch - 1n })],
    [
      "an older epoch and another holder",
      (state) => ({ ...state, holder: undefined, epoch: state.epoch - 1n, revision: state.revision - 1n }),
    ],
  ];
  for (const [what, change] of older) {
    define(`a refusal by a database with ${what} is a rollback`, async (scene) => {
      const { driver, device } = await scene.faultyDevice();
      await device.commit([put("a", "1")]);
      driver.next("commit", async () => false);
      driver.next("state", async (attempt) => {
        const state = await attempt();
        assert.ok(state !== undefined);
        return change(state);
      });
      const error = await rejectsWith("ERR_KEY_STORE_ROLLBACK", () => device.commit([put("a", "2")]));
      assert.equal(error.retryable, false);
      assert.equal(driver.calls("commit"), 2, "it is not tried again");
      await assertPoisoned(device, error);
    });
  }

  define("a device that went back behind what was acknowledged is not opened again", async (scene) => {
    const { driver, store, device } = await scene.faultyDevice();
    await device.commit([put("a", "1")]);
    await device.close();
    for (const [what, behind] of [
      ["revision", { revision: 0n }],
      ["epoch", { epoch: 1n }],
    ] as const) {
      driver.next("acquire", async (attempt) => {
        const outcome = await attempt();
        assert.equal(outcome.outcome, "acquired");
        return outcome.outcome === "acquired" ? { ...outcome, ...behind } : outcome;
      });
      const error = await rejectsWith("ERR_KEY_STORE_ROLLBACK", () => store.openDevice(DEVICE, { lease: "fail" }));
      assert.equal(error.retryable, false, what);
    }
    const again = await open(store, DEVICE, { lease: "fail" });
    assert.equal(again.revision, 1n, "the leases of the refused openings were given back");
  });

  define("a driver's lists, counts and reads take half-open ranges from the empty key on", async (scene) => {
    const { device, guard } = await scene.acquire(await scene.driver());
    await device.commit(guard, puts(["", "0"], ["a", "1"], ["b", "2"]));
    const ranges = [
      [{ start: hex(""), end: undefined }, ["", "61", "62"]],
      [{ start: hex("00"), end: undefined }, ["61", "62"]],
      [{ start: hex("61"), end: hex("62") }, ["61"]],
      [{ start: hex("62"), end: hex("61") }, []],
      [{ start: hex(""), end: hex("") }, []],
    ] as const;
    for (const [range, keys] of ranges) {
      assert.deepEqual(
        pairs(await device.list(SESSIONS, range, { limit: 9, keysOnly: true })),
        keys.map((key) => [key, ""]),
      );
      assert.equal(await device.count(SESSIONS, range), keys.length);
    }
  });
}
