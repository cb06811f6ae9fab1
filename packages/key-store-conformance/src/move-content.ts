import assert from "node:assert/strict";
import type { Change, DeviceRef, KeyStore } from "@holdfast/key-store-core";
import { numbered, patterned } from "./bytes.ts";
import { DEVICE, open } from "./scene.ts";

/** The records of a device that is moved, and how much they are. */
export interface Content {
  readonly changes: readonly Change[];
  readonly records: number;
  readonly bytes: number;
}

function contentOf(collections: readonly (readonly [name: string, records: number, bytes: number])[]): Content {
  const changes = collections.flatMap(([collection, records, bytes]) =>
    Array.from({ length: records }, (_, at) => ({
      type: "put" as const,
      collection,
      key: at === 0 ? new Uint8Array() : numbered(at),
      value: patterned(bytes, at + bytes),
    })),
  );
  const bytes = collections.reduce((sum, [, records, each]) => sum + records * each + (records - 1) * 4, 0);
  return { changes, records: changes.length, bytes };
}

/** Collections of different shapes: a few records, an empty key and value, more than a page of small ones. */
export const SMALL = contentOf([
  ["a", 3, 40],
  ["single", 1, 0],
  ["\u{1f511}", 1_005, 20],
]);

/** The same, and values of which a page holds one. */
export const LARGE = contentOf([
  ["a", 3, 40],
  ["large", 5, 600_000],
  ["single", 1, 0],
  ["\u{1f511}", 1_005, 20],
]);

/** Makes a device with a content, in two commits. */
export async function fill(store: KeyStore, { changes }: Content, ref: DeviceRef = DEVICE): Promise<void> {
  const device = await open(store, ref);
  await device.commit(changes.slice(0, 2));
  await device.commit(changes.slice(2));
  await device.close();
}

/** Fails unless a device of a store has exactly a content. Opens it by force: a process that was killed may have it. */
export async function assertWhole(store: KeyStore, content: Content, ref: DeviceRef = DEVICE): Promise<void> {
  const device = await open(store, ref, { create: "never", lease: "take-over" });
  try {
    for (const collection of new Set(content.changes.map((change) => change.collection))) {
      const expected = content.changes.filter((change) => change.collection === collection);
      const found = await device.list(collection, {}, { limit: expected.length + 1 });
      assert.equal(found.length, expected.length, `the records of ${collection}`);
      for (const [at, change] of expected.entries()) {
        assert.ok(change.type === "put");
        const record = found[at];
        assert.ok(record !== undefined && Buffer.compare(record.key, change.key) === 0, `key ${at} of ${collection}`);
        assert.equal(Buffer.compare(record.value, change.value), 0, `value ${at} of ${collection}`);
      }
    }
  } finally {
    await device.close();
  }
  const summary = (await store.listDevices()).find(({ deviceId }) => deviceId === ref.deviceId);
  assert.deepEqual([summary?.records, summary?.bytes], [content.records, content.bytes]);
}
