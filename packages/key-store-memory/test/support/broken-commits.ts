import {
  type Change,
  type CollectionChanges,
  type DeviceDriver,
  type Guard,
  isKeyStoreError,
  toText,
} from "@holdfast/key-store-core";
import type { BrokenStore } from "./broken.ts";

/** A commit whose changes are not what was asked for. */
function changing(
  change: (changes: readonly CollectionChanges[]) => CollectionChanges[],
): NonNullable<BrokenStore["device"]> {
  return (inner) => ({ commit: (guard, changes) => inner.commit(guard, change(changes)) });
}

/** A commit whose guard is not what was asked for, by what the row is. */
function guarding(change: (guard: Guard, row: Guard) => Guard): NonNullable<BrokenStore["device"]> {
  return (inner) => ({
    async commit(guard, changes) {
      const state = await inner.state();
      if (state === undefined) return false;
      const { holder, epoch, revision } = state;
      return inner.commit(change(guard, { holderId: holder?.id ?? "", epoch, revision }), changes);
    },
  });
}

/** A commit whose changes are taken in another order. */
function reordering(order: (changes: Change[]) => Change[]): NonNullable<BrokenStore["deviceStore"]> {
  return (inner) => ({ commit: (changes) => inner.commit(order([...changes])) });
}

function sizeOf(changes: readonly CollectionChanges[]): number {
  return changes.flatMap(({ puts }) => puts).reduce((bytes, { value }) => bytes + value.length, 0);
}

async function rowGuard(inner: DeviceDriver, holderId: string): Promise<Guard> {
  const state = await inner.state();
  return { holderId: state?.holder?.id ?? holderId, epoch: state?.epoch ?? 0n, revision: state?.revision ?? 0n };
}

const refused = (what: string) => `a commit whose guard has ${what} is refused and writes nothing`;

/** Stores that write wrongly. */
export const brokenCommits: readonly BrokenStore[] = [
  {
    that: "ignores the holder in the guard",
    caughtBy: refused("another holder"),
    device: guarding((guard, { holderId }) => ({ ...guard, holderId })),
  },
  {
    that: "takes an empty holder for any",
    caughtBy: refused("no holder"),
    device: guarding((guard, row) => ({ ...guard, holderId: guard.holderId || row.holderId })),
  },
  {
    that: "ignores the epoch in the guard",
    caughtBy: refused("an older epoch"),
    device: guarding((guard, { epoch }) => ({ ...guard, epoch })),
  },
  {
    that: "refuses later epochs only",
    caughtBy: refused("a newer epoch"),
    device: guarding((guard, { epoch }) => (epoch > guard.epoch ? guard : { ...guard, epoch })),
  },
  {
    that: "ignores the revision in the guard",
    caughtBy: refused("an older revision"),
    device: guarding((guard, { revision }) => ({ ...guard, revision })),
  },
  {
    that: "refuses later revisions only",
    caughtBy: refused("a newer revision"),
    device: guarding((guard, { revision }) => (revision > guard.revision ? guard : { ...guard, revision })),
  },
  {
    that: "writes although the guard refused",
    caughtBy: refused("another holder"),
    device: (inner) => ({
      async commit(guard, changes) {
        if (await inner.commit(guard, changes)) return true;
        await inner.commit(await rowGuard(inner, guard.holderId), changes);
        return false;
      },
    }),
  },
  {
    that: "stages a large commit where it is seen before its guard",
    caughtBy: "a large commit with a stale guard leaves nothing behind",
    device: (inner) => ({
      async commit(guard, changes) {
        if (sizeOf(changes) < 8 << 20) return inner.commit(guard, changes);
        const right = await rowGuard(inner, guard.holderId);
        await inner.commit(right, changes);
        return right.epoch === guard.epoch && right.revision === guard.revision && right.holderId === guard.holderId;
      },
    }),
  },
  {
    that: "commits each collection by itself",
    caughtBy: "a commit over several collections is one commit",
    device: (inner) => ({
      async commit(guard, changes) {
        for (const [at, change] of changes.entries()) {
          if (!(await inner.commit({ ...guard, revision: guard.revision + BigInt(at) }, [change]))) return false;
        }
        return true;
      },
    }),
  },
  {
    that: "applies a commit half",
    caughtBy: "a commit over several collections is one commit",
    device: changing((changes) => changes.slice(0, Math.ceil(changes.length / 2))),
  },
  {
    that: "loses changes past the five thousandth",
    caughtBy: "ten thousand changes are one commit",
    device: changing((changes) => changes.map((change) => ({ ...change, puts: change.puts.slice(0, 5_000) }))),
  },
  {
    that: "loses what is past 32 MiB",
    caughtBy: "a commit of 64 MiB is one commit",
    device: changing((changes) =>
      changes.map((change) => ({
        ...change,
        puts: change.puts.slice(0, sizeOf([change]) > 32 << 20 ? 32 : undefined),
      })),
    ),
  },
  {
    that: "ignores deletes",
    caughtBy: "what was put is got, by this store and by the next",
    device: changing((changes) => changes.map((change) => ({ ...change, deletes: [] }))),
  },
  {
    that: "ignores deleted ranges",
    caughtBy: "deleteRange removes what its range holds, and nothing beside it",
    device: changing((changes) => changes.map((change) => ({ ...change, removed: [] }))),
  },
  {
    that: "deletes a range up to its end and the end itself",
    caughtBy: "deleteRange removes what its range holds, and nothing beside it",
    device: changing((changes) =>
      changes.map((change) => ({
        ...change,
        deletes: [...change.deletes, ...change.removed.flatMap(({ end }) => (end === undefined ? [] : [end]))],
      })),
    ),
  },
  {
    that: "leaves the records of a dropped collection",
    caughtBy: "in one commit, a collection dropped is empty",
    device: changing((changes) => changes.filter(({ drop }) => !drop)),
  },
  {
    that: "keeps the first of two puts",
    caughtBy: "in one commit, the same key put twice keeps the last value",
    deviceStore: reordering((changes) => {
      const seen = new Set<string>();
      return changes.filter((change) => {
        if (change.type !== "put") return true;
        const name = `${change.collection}\0${toText(change.key)}`;
        return seen.has(name) ? false : seen.add(name);
      });
    }),
  },
  {
    that: "deletes before it puts",
    caughtBy: "in one commit, a new key put then deleted is absent",
    deviceStore: reordering((changes) => changes.sort((a, b) => Number(a.type === "put") - Number(b.type === "put"))),
  },
  {
    that: "puts before it deletes",
    caughtBy: "in one commit, a key deleted then put has the new value",
    deviceStore: reordering((changes) => changes.sort((a, b) => Number(b.type === "put") - Number(a.type === "put"))),
  },
  {
    that: "deletes later puts with a range",
    caughtBy: "in one commit, a range deleted leaves what is put after it",
    deviceStore: reordering((changes) =>
      changes.sort((a, b) => Number(a.type === "deleteRange") - Number(b.type === "deleteRange")),
    ),
  },
  {
    that: "drops later puts with a collection",
    caughtBy: "in one commit, a collection dropped leaves what is put after it",
    deviceStore: reordering((changes) =>
      changes.sort((a, b) => Number(a.type === "dropCollection") - Number(b.type === "dropCollection")),
    ),
  },
  {
    that: "writes what is valid of an invalid commit",
    caughtBy: "a commit whose last change is invalid changes nothing and does not poison",
    deviceStore: (inner) => ({
      async commit(changes) {
        try {
          await inner.commit(changes);
        } catch (error) {
          if (isKeyStoreError(error, "ERR_KEY_STORE_INVALID_ARGUMENT")) await inner.commit([...changes].slice(0, -1));
          throw error;
        }
      },
    }),
  },
  {
    that: "commits where there is nothing to commit",
    caughtBy: "a commit of no changes is no commit",
    deviceStore: (inner) => ({
      commit: (changes) =>
        inner.commit([...changes].length > 0 ? changes : [{ type: "dropCollection", collection: "nothing" }]),
    }),
  },
  {
    that: "acknowledges a commit before it is made",
    caughtBy: "a second instance sees everything that the first one committed",
    device(inner, { holder }) {
      let kept: readonly CollectionChanges[] = [];
      const flush = async () => {
        const changes = kept;
        kept = [];
        if (changes.length > 0) await inner.commit(await rowGuard(inner, holder.id), changes);
      };
      return {
        async commit(_, changes) {
          await flush();
          kept = changes;
          return true;
        },
      };
    },
  },
  {
    that: "tells success where the connection broke",
    caughtBy: "a commit whose request is lost is applied exactly once",
    core: (inner) => ({
      commit: (guard, changes) =>
        inner.commit(guard, changes).catch((error: unknown) => {
          if (isKeyStoreError(error, "ERR_KEY_STORE_UNAVAILABLE")) return true;
          throw error;
        }),
    }),
  },
  {
    that: "sends an uncertain commit again without a look",
    caughtBy: "a commit whose answer is lost is applied exactly once",
    core: (inner) => ({
      commit: (guard, changes) =>
        inner.commit(guard, changes).catch(async () => inner.commit(await rowGuard(inner, guard.holderId), changes)),
    }),
  },
  {
    that: "looks after an uncertain commit without raising the epoch",
    caughtBy: "settling raises the epoch of its holder, so that an attempt which comes late is refused",
    device: (inner) => ({ settle: () => inner.state() }),
  },
  {
    that: "only claims to raise the epoch when it looks",
    caughtBy: "a first attempt that arrives between the look and the second attempt is refused",
    device(inner) {
      // What it claims is translated back, so that only an attempt that comes late can tell.
      let claimed = 0n;
      const state = async () => {
        const row = await inner.state();
        return row && { ...row, epoch: row.epoch + claimed };
      };
      return {
        state,
        async settle() {
          claimed += 1n;
          return state();
        },
        async commit(guard, changes) {
          const row = await inner.state();
          return inner.commit({ ...guard, epoch: row?.epoch ?? 0n }, changes);
        },
      };
    },
  },
  {
    that: "raises the epoch of others when it looks",
    caughtBy: "settling by somebody who has not the lease changes nothing and tells who has it",
    device: (inner) => ({ settle: async (holderId) => inner.settle((await rowGuard(inner, holderId)).holderId) }),
  },
  {
    that: "looks without waiting for an attempt that still runs",
    caughtBy: "settling waits for an attempt that is still running, and tells its outcome",
    device: (inner) => ({
      async settle(holderId) {
        const row = await inner.state();
        inner.settle(holderId).catch(() => {});
        return row && { ...row, epoch: row.epoch + 1n };
      },
    }),
  },
  {
    that: "takes an older database for a rival",
    caughtBy: "a refusal by a database with an older revision is a rollback",
    core: (inner) => ({
      async state() {
        const row = await inner.state();
        return row && { ...row, revision: row.revision + 100n };
      },
    }),
  },
  {
    that: "tries again what is not a broken connection",
    caughtBy: "a failure that is not a broken connection is not tried again, and poisons",
    core: (inner) => ({
      commit: (guard, changes) => inner.commit(guard, changes).catch(() => inner.commit(guard, changes)),
    }),
  },
];
