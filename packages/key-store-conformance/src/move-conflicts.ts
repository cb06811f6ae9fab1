import assert from "node:assert/strict";
import type { DeviceMove, DeviceRef, DeviceStatus, KeyStore, MovePeer } from "@holdfast/key-store-core";
import { type MoveDeviceOptions, moveDevice, type OnConflict } from "@holdfast/key-store-move";
import { text } from "./bytes.ts";
import { rejection, rejectsWith } from "./expect.ts";
import { assertWhole, fill, SMALL } from "./move-content.ts";
import { DEVICE, type Define, open, put, SESSIONS } from "./scene.ts";

/** Every answer to a conflict that a caller may give. */
const ANSWERS = ["fail", "archive-target", "archive-source"] as const satisfies OnConflict[];

const ELSEWHERE: MovePeer = Object.freeze({ kind: "elsewhere", storeId: "a third store" });

/** What a device of the target has become, and what a move to it comes to, for each of {@link ANSWERS} in turn. */
interface Case {
  readonly target: string;
  readonly move?: (source: MovePeer) => DeviceMove;
  /** Default: one record, of its own. */
  readonly isEmpty?: boolean;
  readonly comesTo: readonly [Outcome, Outcome, Outcome];
}

type Outcome = "moved" | "moved, archived" | "kept-target" | "ERR_KEY_STORE_MOVING" | "ERR_KEY_STORE_CONFLICT";

const always = (outcome: Outcome): Case["comesTo"] => [outcome, outcome, outcome];
const BY_ANSWER: Case["comesTo"] = ["ERR_KEY_STORE_CONFLICT", "moved, archived", "kept-target"];

function marked(status: DeviceStatus, peer?: MovePeer): NonNullable<Case["move"]> {
  return (source) => ({ status, id: "another move", peer: peer ?? source });
}

const CASES: readonly Case[] = [
  { target: "a content of its own", comesTo: BY_ANSWER },
  { target: "a content that came from this source once", move: marked("active"), comesTo: BY_ANSWER },
  { target: "a content that came from a third store", move: marked("active", ELSEWHERE), comesTo: BY_ANSWER },
  { target: "a device without a content", isEmpty: true, comesTo: always("moved") },
  { target: "a part of an earlier copy of this source", move: marked("incoming"), comesTo: always("moved, archived") },
  {
    target: "an earlier copy of this source without a record",
    move: marked("incoming"),
    isEmpty: true,
    comesTo: always("moved, archived"),
  },
  {
    target: "a part of a copy of a third store",
    move: marked("incoming", ELSEWHERE),
    comesTo: always("ERR_KEY_STORE_MOVING"),
  },
  {
    target: "a copy of a third store without a record",
    move: marked("incoming", ELSEWHERE),
    isEmpty: true,
    comesTo: always("ERR_KEY_STORE_MOVING"),
  },
  {
    target: "a device on its way to a third store",
    move: marked("moving", ELSEWHERE),
    comesTo: always("ERR_KEY_STORE_MOVING"),
  },
  { target: "a device on its way to this source", move: marked("moving"), comesTo: always("ERR_KEY_STORE_MOVING") },
  {
    target: "what a move to a third store has left",
    move: marked("moved", ELSEWHERE),
    comesTo: always("moved, archived"),
  },
];

function peerOf({ kind, storeId = "" }: KeyStore): MovePeer {
  return { kind, storeId };
}

/** Makes the device as a move would, in whatever state. */
async function make(store: KeyStore, ref: DeviceRef, move: DeviceMove | undefined, isEmpty: boolean): Promise<void> {
  const device = await (move === undefined ? store.openDevice(ref) : store.openForMove(ref, { created: move }));
  assert.ok(device !== null);
  if (!isEmpty) await device.commit([put("whose", "the target's")]);
  await device.close();
}

async function mark(store: KeyStore, ref: DeviceRef, move: DeviceMove): Promise<void> {
  const device = await store.openForMove(ref);
  assert.ok(device !== null);
  await device.mark(move);
  await device.close();
}

/** What a move came to, with the stores looked at: the source's content is whole in the one place that it belongs to. */
async function outcomeOf(options: MoveDeviceOptions): Promise<Outcome | string> {
  const { from, to, device } = options;
  const before = [await from.listDevices(), await to.listDevices()];
  const result = await moveDevice(options).catch((error: { code: string }) => error);
  if ("code" in result) {
    const after = [await from.listDevices(), await to.listDevices()];
    const contents = [before, after].map((lists) => lists.map((list) => list.map(({ epoch, ...rest }) => rest)));
    assert.deepEqual(contents[1], contents[0], "a move that is refused changes nothing");
    return result.code;
  }
  if (result.outcome === "kept-target") {
    await assertWhole(from, SMALL, result.archived);
    const kept = await open(to, device, { create: "never" });
    assert.deepEqual(await kept.get(SESSIONS, text("whose")), text("the target's"));
    await kept.close();
    return result.outcome;
  }
  assert.equal(result.outcome, "moved");
  await assertWhole(to, SMALL, device);
  await rejectsWith("ERR_KEY_STORE_MOVED", () => from.openDevice(device));
  return "archived" in result ? "moved, archived" : "moved";
}

export function moveConflictTests(define: Define): void {
  for (const { target, move, isEmpty = false, comesTo } of CASES) {
    define(`a move to a store that has ${target} comes to: ${[...new Set(comesTo)].join(" / ")}`, async (scene) => {
      const [from, to] = [await scene.store(), await scene.otherStore()];
      for (const [at, onConflict] of ANSWERS.entries()) {
        for (const abandonOther of [false, true]) {
          const device = { ...DEVICE, deviceId: `${onConflict}${abandonOther ? ", begun elsewhere" : ""}` };
          await fill(from, SMALL, device);
          if (abandonOther) await mark(from, device, { status: "moving", id: "a move elsewhere", peer: ELSEWHERE });
          await make(to, device, move?.(peerOf(from)), isEmpty);
          const outcome = await outcomeOf({ from, to, device, onConflict, abandonOther });
          assert.equal(outcome, comesTo[at], device.deviceId);
        }
      }
    });
  }

  define(
    "a half copy never costs the source, though the move was cut, went elsewhere, was cut, and comes back",
    async (scene) => {
      const [from, to] = [await scene.store(), await scene.otherStore()];
      await fill(from, SMALL);
      const { driver, store: cut } = await scene.faultyOtherStore();
      const killed = new Error("killed");
      driver.next(
        "commit",
        (attempt) => attempt(),
        async () => {
          throw killed;
        },
      );
      await rejection(() => moveDevice({ from, to: cut, device: DEVICE }));
      await cut.close();
      const half = (await to.listDevices()).map(({ status, records }) => [status, records]);
      assert.deepEqual(half, [["incoming", 3]]);
      await mark(from, DEVICE, { status: "moving", id: "a move elsewhere, cut too", peer: ELSEWHERE });
      const back = { from, to, device: DEVICE, onConflict: "archive-source" } as const;
      await rejectsWith("ERR_KEY_STORE_MOVING", () => moveDevice(back));
      assert.equal(await outcomeOf({ ...back, abandonOther: true }), "moved, archived");
      const devices = (await to.listDevices()).map(({ deviceId, status, records }) => [
        deviceId === DEVICE.deviceId,
        status,
        records,
      ]);
      assert.deepEqual(devices, [
        [true, "active", SMALL.records],
        [false, "incoming", 3],
      ]);
    },
  );
}
