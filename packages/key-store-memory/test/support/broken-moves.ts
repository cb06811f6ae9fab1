import type { AcquireRequest, DeviceDriver, KeyStoreDriver, RollbackWitness } from "@holdfast/key-store-core";
import type { BrokenStore } from "./broken.ts";

const MARK = "a mark needs the guard of a commit, and moves the revision by one";
const BEHIND = "a device behind what is known of it is not acquired, and nothing is written";
const CUT_AFTER =
  "a move whose process ends after any call of a driver leaves one device that opens at the most, and is finished by the next";

/** A driver that is asked for something else than what it was asked for. */
function asking(change: (request: AcquireRequest) => AcquireRequest): NonNullable<BrokenStore["driver"]> {
  return (inner: KeyStoreDriver) => ({ acquire: (request) => inner.acquire(change(request)) });
}

/** A device whose marks are made otherwise. */
function marking(mark: (inner: DeviceDriver) => DeviceDriver["mark"]): NonNullable<BrokenStore["device"]> {
  return (inner) => ({ mark: mark(inner) });
}

/** Stores that move devices wrongly, or take up what has gone back. */
export const brokenMoves: readonly BrokenStore[] = [
  {
    that: "opens a device that is being moved away",
    caughtBy: "a device that is moving is acquired by a move alone, and refused without a trace",
    driver: asking((request) => ({ ...request, forMove: true })),
  },
  {
    that: "opens a copy that is not complete",
    caughtBy: "a device that is incoming opens with a typed error that says where the other end is",
    driver: asking((request) => ({ ...request, forMove: true })),
  },
  {
    that: "opens a device that was moved to another store",
    caughtBy: "moveDevice takes a device to another store, whole, and leaves a source that never opens again",
    driver: asking((request) => ({ ...request, forMove: true })),
  },
  {
    that: "makes the copy active before it has a record",
    caughtBy: "a device that a move makes is marked from its first moment",
    driver: asking(({ created, ...request }) => ({ ...request, created: undefined })),
  },
  {
    that: "sets a mark whatever its guard",
    caughtBy: MARK,
    device: marking((inner) => async (guard, mark) => {
      const state = await inner.state();
      if (state === undefined) return false;
      return inner.mark({ ...state, holderId: state.holder?.id ?? guard.holderId }, mark);
    }),
  },
  {
    that: "claims to have set a mark",
    caughtBy: CUT_AFTER,
    device: marking((inner) => async (guard, mark) => {
      if (mark.move?.status !== "moving") return inner.mark(guard, mark);
      return inner.commit(guard, []);
    }),
  },
  {
    that: "forgets what a move has made of a device once it was taken",
    caughtBy: CUT_AFTER,
    driver: (inner) => ({
      async acquire(request) {
        const answer = await inner.acquire(request);
        return answer.outcome === "acquired" ? { ...answer, move: undefined } : answer;
      },
    }),
  },
  {
    that: "renames a device and forgets its records",
    caughtBy: "a device that is set aside has another name, keeps its records, and leaves its own name free",
    device: (inner) => ({
      async mark(guard, mark) {
        if (mark.deviceId === undefined) return inner.mark(guard, mark);
        const all = { start: new Uint8Array(), end: undefined };
        const drops = (await inner.collections()).map(({ collection }) => ({
          collection,
          drop: false,
          removed: [all],
          deletes: [],
          puts: [],
        }));
        if (!(await inner.commit(guard, drops))) return false;
        return inner.mark({ ...guard, revision: guard.revision + 1n }, mark);
      },
    }),
  },
  {
    that: "tells a device's collections in the order in which they came",
    caughtBy: "a device's collections are told by the UTF-8 bytes of their names, with what they hold",
    device: (inner) => ({
      collections: async () => (await inner.collections()).toReversed(),
    }),
  },
  {
    that: "opens a device that has gone back",
    caughtBy: BEHIND,
    driver: asking((request) => ({ ...request, known: undefined })),
  },
  {
    that: "takes a device that has gone back before it refuses it",
    caughtBy: BEHIND,
    driver: (inner) => ({
      async acquire(request) {
        const answer = await inner.acquire(request);
        if (answer.outcome === "rolled-back") await inner.acquire({ ...request, acceptRollback: true });
        return answer;
      },
    }),
  },
  {
    that: "makes a device anew that is known and gone",
    caughtBy: "a device that is known, and not there, is not made anew",
    driver: (inner) => ({
      async acquire(request) {
        const answer = await inner.acquire(request);
        if (answer.outcome !== "rolled-back" || answer.found.epoch > 0n) return answer;
        return inner.acquire({ ...request, known: undefined });
      },
    }),
  },
  {
    that: "asks its witness when it opens a device, and never again",
    caughtBy: "a process that was taken over does not set the witness back",
    options({ witness, ...options }) {
      if (witness === undefined) return options;
      let asked = false;
      const recall: RollbackWitness["recall"] = async (storeId, device) => {
        if (asked) return undefined;
        asked = true;
        return witness.recall(storeId, device);
      };
      return { ...options, witness: { recall, remember: witness.remember.bind(witness) } };
    },
  },
  {
    that: "takes up what has gone back without a word",
    caughtBy: "a device that went back opens only where the program accepts it, and that is logged",
    store: (inner) => ({
      openDevice: (device, options) => inner.openDevice(device, { ...options, acceptRollback: true }),
    }),
  },
];
