import assert from "node:assert/strict";
import type { DeviceMove, DeviceStatus, KeyStoreDriver } from "@holdfast/key-store-core";
import { moveDevice } from "@holdfast/key-store-move";
import { text } from "./bytes.ts";
import { pairs, rejectsWith } from "./expect.ts";
import { assertWhole, fill, LARGE, SMALL } from "./move-content.ts";
import { type Acquired, ALL, DEVICE, type Define, open, put, puts, type Scene, SESSIONS } from "./scene.ts";

/** A mark of a move that ends, or begins, in a store that is not there. */
function marked(status: DeviceStatus, id = "a move"): DeviceMove {
  return { status, id, peer: { kind: "elsewhere", storeId: "another store" } };
}

/** A device with one record, on which a driver has set a mark. Nobody holds it. */
async function markedDevice(scene: Scene, move: DeviceMove): Promise<KeyStoreDriver> {
  const driver = await scene.driver();
  const { device, guard, holder } = await scene.acquire(driver);
  assert.equal(await device.commit(guard, puts(["a", "1"])), true);
  assert.equal(await device.mark({ ...guard, revision: guard.revision + 1n }, { move }), true);
  await device.release(holder.id);
  return driver;
}

async function acquireForMove(scene: Scene, driver: KeyStoreDriver): Promise<Acquired & { move: unknown }> {
  const holder = scene.holder();
  const outcome = await driver.acquire({ device: DEVICE, holder, create: false, force: false, forMove: true });
  assert.ok(outcome.outcome === "acquired", `the device is ${outcome.outcome}`);
  const { device, epoch, revision, move } = outcome;
  return { device, holder, move, guard: { holderId: holder.id, epoch, revision } };
}

export function moveTests(define: Define): void {
  for (const status of ["moving", "incoming", "moved"] as const) {
    define(`a device that is ${status} is acquired by a move alone, and refused without a trace`, async (scene) => {
      const move = marked(status);
      const driver = await markedDevice(scene, move);
      const before = await driver.listDevices();
      assert.equal(before[0]?.status, status);
      const request = { device: DEVICE, holder: scene.holder(), create: true, force: true };
      assert.deepEqual(await driver.acquire(request), { outcome: "moving", move });
      assert.deepEqual(await driver.listDevices(), before);
      const acquired = await acquireForMove(scene, driver);
      assert.deepEqual(acquired.move, move);
      assert.deepEqual([acquired.guard.epoch, acquired.guard.revision], [2n, 2n]);
      await acquired.device.release(acquired.holder.id);
    });

    define(`a device that is ${status} opens with a typed error that says where the other end is`, async (scene) => {
      await markedDevice(scene, marked(status));
      const store = await scene.store();
      const code = status === "moved" ? "ERR_KEY_STORE_MOVED" : "ERR_KEY_STORE_MOVING";
      const error = await rejectsWith(code, () => store.openDevice(DEVICE, { lease: "take-over" }));
      assert.deepEqual(error.peer, { kind: "elsewhere", storeId: "another store" });
      assert.equal(error.retryable, false);
      assert.match(error.message, /another store/);
    });
  }

  define("a mark of active is history: the device opens", async (scene) => {
    await markedDevice(scene, marked("active"));
    const device = await open(await scene.store());
    assert.deepEqual([device.epoch, device.revision, await device.count(SESSIONS)], [2n, 2n, 1]);
  });

  define("a mark needs the guard of a commit, and moves the revision by one", async (scene) => {
    const driver = await scene.driver();
    const { device, guard } = await scene.acquire(driver);
    const wrong = [
      { ...guard, holderId: "somebody" },
      { ...guard, epoch: guard.epoch + 1n },
      { ...guard, revision: guard.revision + 1n },
    ];
    const before = await driver.listDevices();
    for (const other of wrong) {
      assert.equal(await device.mark(other, { move: marked("moved"), deviceId: "ANOTHER" }), false);
      assert.deepEqual(await driver.listDevices(), before);
    }
    assert.equal(await device.mark(guard, { move: marked("moving") }), true);
    assert.equal((await device.state())?.revision, guard.revision + 1n);
    assert.equal(await device.mark(guard, { move: undefined }), false, "the same guard passes once");
    const next = { ...guard, revision: guard.revision + 1n };
    assert.equal(await device.mark(next, { move: undefined }), true);
    assert.equal((await driver.listDevices())[0]?.status, "active");
  });

  define("a device that a move makes is marked from its first moment", async (scene) => {
    const driver = await scene.driver();
    const holder = scene.holder();
    const created = marked("incoming");
    const request = { device: DEVICE, holder, create: true, force: false, forMove: true, created };
    const outcome = await driver.acquire(request);
    assert.ok(outcome.outcome === "acquired");
    assert.deepEqual([outcome.move, outcome.epoch, outcome.revision], [created, 1n, 0n]);
    await outcome.device.release(holder.id);
    const again = { device: DEVICE, holder: scene.holder(), create: true, force: false };
    assert.deepEqual(await driver.acquire(again), { outcome: "moving", move: created });
    const other = await driver.acquire({ ...request, holder: scene.holder(), created: marked("incoming", "another") });
    assert.deepEqual(other.outcome === "acquired" && other.move, created, "a device that is there keeps its mark");
  });

  define(
    "a device that is set aside has another name, keeps its records, and leaves its own name free",
    async (scene) => {
      const driver = await scene.driver();
      const { device, guard, holder } = await scene.acquire(driver);
      assert.equal(await device.commit(guard, puts(["a", "1"])), true);
      const next = { ...guard, revision: guard.revision + 1n };
      assert.equal(await device.mark(next, { move: undefined, deviceId: "ASIDE" }), true);
      assert.deepEqual(pairs(await device.list(SESSIONS, ALL, { limit: 9 })), [["61", "31"]]);
      await device.release(holder.id);
      const anew = await scene.acquire(driver);
      assert.deepEqual([anew.guard.epoch, anew.guard.revision], [1n, 0n]);
      assert.equal(await anew.device.count(SESSIONS, ALL), 0);
      const listed = await driver.listDevices();
      assert.deepEqual(
        listed.map(({ deviceId, records }) => [deviceId, records]),
        [
          ["ASIDE", 1],
          [DEVICE.deviceId, 0],
        ],
      );
    },
  );

  define("a device's collections are told by the UTF-8 bytes of their names, with what they hold", async (scene) => {
    const driver = await scene.driver();
    const { device, guard } = await scene.acquire(driver);
    const other = await scene.acquire(driver, false, { ...DEVICE, deviceId: "OTHER" });
    await other.device.commit(other.guard, puts(["x", "of another device"]));
    const names = ["b", "\u{1f511}", "\uffee", "a"];
    const changes = names.map((collection) => ({ ...puts(["k", collection])[0], collection }));
    assert.equal(await device.commit(guard, changes as ReturnType<typeof puts>), true);
    const drop = { collection: "b", drop: true, removed: [], deletes: [], puts: [] };
    assert.equal(await device.commit({ ...guard, revision: 1n }, [drop]), true);
    assert.deepEqual(await device.collections(), [
      { collection: "a", records: 1, bytes: 2 },
      { collection: "\uffee", records: 1, bytes: 4 },
      { collection: "\u{1f511}", records: 1, bytes: 5 },
    ]);
  });

  define(
    "moveDevice takes a device to another store, whole, and leaves a source that never opens again",
    async (scene) => {
      const [from, to] = [await scene.store(), await scene.otherStore()];
      await fill(from, LARGE);
      const moved = await moveDevice({ from, to, device: DEVICE });
      assert.deepEqual(moved, { outcome: "moved", records: LARGE.records, bytes: LARGE.bytes });
      await assertWhole(to, LARGE);
      const error = await rejectsWith("ERR_KEY_STORE_MOVED", () => from.openDevice(DEVICE));
      assert.deepEqual(error.peer, { kind: to.kind, storeId: to.storeId });
      assert.deepEqual(await moveDevice({ from, to, device: DEVICE }), { outcome: "already-moved" });
      await rejectsWith("ERR_KEY_STORE_MOVED", async () => from.openDevice(DEVICE));
      await assertWhole(to, LARGE);
    },
  );

  define("moveDevice never merges: a conflict changes nothing, and either side can be set aside", async (scene) => {
    const [from, to] = [await scene.store(), await scene.otherStore()];
    for (const [winner, onConflict] of [
      ["source", "archive-target"],
      ["target", "archive-source"],
    ] as const) {
      const device = { ...DEVICE, deviceId: winner };
      for (const [store, value] of [
        [from, "source"],
        [to, "target"],
      ] as const) {
        const opened = await open(store, device);
        await opened.commit([put("identity", value)]);
        await opened.close();
      }
      await rejectsWith("ERR_KEY_STORE_CONFLICT", () => moveDevice({ from, to, device }));
      for (const store of [from, to]) await (await open(store, device)).close();

      const result = await moveDevice({ from, to, device, onConflict });
      assert.ok("archived" in result && result.archived !== undefined);
      const kept = await open(to, device, { create: "never" });
      assert.deepEqual(await kept.get(SESSIONS, text("identity")), text(winner));
      const [loser, store] = winner === "source" ? ["target", to] : ["source", from];
      const archived = await open(store as typeof to, result.archived, { create: "never" });
      assert.deepEqual(await archived.get(SESSIONS, text("identity")), text(loser as string));
      const code = winner === "source" ? "ERR_KEY_STORE_MOVED" : "ERR_KEY_STORE_DEVICE_NOT_FOUND";
      await rejectsWith(code, () => from.openDevice(device, { create: "never" }));
    }
  });

  define("a device comes back from where it was moved to, and what it left behind is set aside", async (scene) => {
    const [one, two] = [await scene.store(), await scene.otherStore()];
    await fill(one, SMALL);
    await moveDevice({ from: one, to: two, device: DEVICE });
    const device = await open(two);
    await device.commit([put("since", "then")]);
    await device.close();
    const back = await moveDevice({ from: two, to: one, device: DEVICE });
    assert.ok(back.outcome === "moved" && back.archived !== undefined);
    const again = await open(one);
    assert.deepEqual(await again.get(SESSIONS, text("since")), text("then"));
    await rejectsWith("ERR_KEY_STORE_MOVED", () => two.openDevice(DEVICE));
    await rejectsWith("ERR_KEY_STORE_MOVED", () => one.openDevice(back.archived ?? DEVICE));
  });

  define(
    "a device whose move was begun goes nowhere else, unless its first target is given up by name",
    async (scene) => {
      await markedDevice(scene, marked("moving"));
      const [from, to] = [await scene.store(), await scene.otherStore()];
      const error = await rejectsWith("ERR_KEY_STORE_MOVING", () => moveDevice({ from, to, device: DEVICE }));
      assert.equal(error.peer?.storeId, "another store");
      assert.deepEqual(await to.listDevices(), []);
      const moved = await moveDevice({ from, to, device: DEVICE, abandonOther: true });
      assert.deepEqual(moved, { outcome: "moved", records: 1, bytes: 2 });
      assert.equal(await (await open(to)).count(SESSIONS), 1);
    },
  );

  define("moveDevice says what it lacks: another store, a device, a store that is ready", async (scene) => {
    const [from, to] = [await scene.store(), await scene.otherStore()];
    await rejectsWith("ERR_KEY_STORE_DEVICE_NOT_FOUND", () => moveDevice({ from, to, device: DEVICE }));
    await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => moveDevice({ from, to: from, device: DEVICE }));
    const unready = scene.newStore();
    await rejectsWith("ERR_KEY_STORE_UNAVAILABLE", () => moveDevice({ from, to: unready, device: DEVICE }));
    const held = await open(from);
    const asked = () => moveDevice({ from, to, device: DEVICE, lease: "fail" });
    await rejectsWith("ERR_KEY_STORE_LEASE_HELD", asked);
    await held.close();
    assert.deepEqual(await to.listDevices(), []);
  });

  define("a copy whose bytes are not those of the original is never made active", async (scene) => {
    const from = await scene.store();
    const { driver, store: to } = await scene.faultyOtherStore();
    await fill(from, SMALL);
    driver.always("list", async (attempt) => {
      const page = await attempt();
      return page.map(({ key, value }, at) => ({ key, value: at === 0 ? value.map((byte) => byte ^ 1) : value }));
    });
    await rejectsWith("ERR_KEY_STORE_CORRUPT", () => moveDevice({ from, to, device: DEVICE }));
    await rejectsWith("ERR_KEY_STORE_MOVING", () => to.openDevice(DEVICE));
    await rejectsWith("ERR_KEY_STORE_MOVING", () => from.openDevice(DEVICE));
    driver.heal();
    assert.equal((await moveDevice({ from, to, device: DEVICE })).outcome, "moved");
    await assertWhole(to, SMALL);
  });
}
