import type { CollectionChanges, CollectionUsage, DeviceDriver, Guard } from "@holdfast/key-store-core";
import { type Database, type Row, stateOf } from "./database.ts";

/** The hooks of one device, which is a row of `device` and its rows of `record`. */
export function deviceDriver(db: Database, id: number): DeviceDriver {
  const row = () => db.rows("select holder, epoch, revision from device where id = ?", id)[0];
  const within = "device = ? and collection = ? and key >= ifnull(?, x'') and (? or key < ifnull(?, x''))";
  const bounds = (start: Uint8Array, end: Uint8Array | undefined) =>
    [start, Number(end === undefined), end ?? null] as const;

  /** The guard of every commit: equality of all three, in the transaction that writes. */
  const guarded = ({ holderId, epoch, revision }: Guard, write: () => void) =>
    db.transaction(() => {
      const state = row() && stateOf(row() ?? {});
      if (state?.holder?.id !== holderId || state.epoch !== epoch || state.revision !== revision) return false;
      write();
      db.rows("update device set revision = revision + 1 where id = ?", id);
      return true;
    });

  const apply = ({ collection, drop, removed, deletes, puts }: CollectionChanges) => {
    if (drop) db.rows("delete from record where device = ? and collection = ?", id, collection);
    for (const { start, end } of removed)
      db.rows(`delete from record where ${within}`, id, collection, ...bounds(start, end));
    for (const key of deletes) {
      db.rows("delete from record where device = ? and collection = ? and key = ifnull(?, x'')", id, collection, key);
    }
    for (const { key, value } of puts) {
      const into = "insert into record values (?, ?, ifnull(?, x''), ifnull(?, x''))";
      db.rows(`${into} on conflict do update set value = excluded.value`, id, collection, key, value);
    }
  };

  return {
    async getMany(collection, keys) {
      const sql = "select value from record where device = ? and collection = ? and key = ifnull(?, x'')";
      return keys.map((key) => db.rows(sql, id, collection, key)[0]?.value as Uint8Array | undefined);
    },
    async list(collection, { start, end }, { limit, reverse, keysOnly }) {
      const sql = `select key, ${keysOnly ? "x''" : "value"} as value from record
        where ${within} order by key ${reverse ? "desc" : "asc"} limit ?`;
      const rows = db.rows(sql, id, collection, ...bounds(start, end), limit);
      return rows.map(({ key, value }) => ({ key: key as Uint8Array, value: value as Uint8Array }));
    },
    async count(collection, { start, end }) {
      return Number(
        db.rows(`select count(*) as n from record where ${within}`, id, collection, ...bounds(start, end))[0]?.n,
      );
    },
    commit: async (guard, changes) => guarded(guard, () => changes.forEach(apply)),
    mark: async (guard, { move, deviceId }) =>
      guarded(guard, () => {
        const values = [move === undefined ? null : JSON.stringify(move), deviceId ?? null];
        db.rows("update device set move = ?, device_id = ifnull(?, device_id) where id = ?", ...values, id);
      }),
    async collections() {
      const rows = db.rows("select collection, records, bytes from counter where device = ? order by collection", id);
      return rows.map(usageOf);
    },
    settle: async (holderId) =>
      db.transaction(() => {
        db.rows("update device set epoch = epoch + 1 where id = ? and holder ->> 'id' = ?", id, holderId);
        const found = row();
        return found && stateOf(found);
      }),
    async state() {
      const found = row();
      return found && stateOf(found);
    },
    async release(holderId) {
      db.rows("update device set holder = null where id = ? and holder ->> 'id' = ?", id, holderId);
    },
  };
}

/** The counts of a collection, from a row that has them. */
export function usageOf({ collection, records, bytes }: Row): CollectionUsage {
  return { collection: String(collection), records: Number(records), bytes: Number(bytes) };
}
