import assert from "node:assert/strict";
import type { DeviceRef, DeviceStore } from "@holdfast/key-store-core";
import {
  type Change,
  type KeyRange,
  MAX_COLLECTION_NAME_BYTES,
  MAX_KEY_BYTES,
  type Page,
} from "@holdfast/key-store-core";
import { hex, text, toHex } from "./bytes.ts";
import { rejectsWith } from "./expect.ts";
import { DEVICE, type Define, open, put, SESSIONS } from "./scene.ts";

const LONG_KEY = new Uint8Array(MAX_KEY_BYTES + 1);
const LONE_SURROGATE = "\ud800";

const BAD_DEVICES: Record<string, DeviceRef> = {
  "an empty user id": { ...DEVICE, userId: "" },
  "an empty device id": { ...DEVICE, deviceId: "" },
  "a user id of 256 bytes": { ...DEVICE, userId: `@${"é".repeat(127)}x` },
  "a device id of 256 bytes": { ...DEVICE, deviceId: "D".repeat(256) },
  "a lone surrogate": { ...DEVICE, userId: `@${LONE_SURROGATE}` },
  "a user id that is no string": { ...DEVICE, userId: 7 as unknown as string },
};

const BAD_COLLECTIONS: Record<string, string> = {
  "an empty name": "",
  "a name that is too long": "c".repeat(MAX_COLLECTION_NAME_BYTES + 1),
  "a name that is too long in UTF-8 only": "é".repeat(MAX_COLLECTION_NAME_BYTES / 2 + 1),
  "a lone surrogate": LONE_SURROGATE,
  "no string": undefined as unknown as string,
};

const BAD_RANGES: Record<string, KeyRange> = {
  "gt with gte": { gt: hex("00"), gte: hex("00") },
  "lt with lte": { lt: hex("00"), lte: hex("00") },
  "a bound that is no bytes": { gte: "a" as unknown as Uint8Array },
};

const BAD_PAGES: Record<string, Page> = {
  zero: { limit: 0 },
  negative: { limit: -1 },
  "a fraction": { limit: 1.5 },
  "not a number": { limit: Number.NaN },
  infinite: { limit: Number.POSITIVE_INFINITY },
  missing: {} as unknown as Page,
};

const BAD_CHANGES: Record<string, Change> = {
  "a put with a key that is too long": put(LONG_KEY, "v"),
  "a delete with a key that is too long": { type: "delete", collection: SESSIONS, key: LONG_KEY },
  "a key that is no bytes": { type: "put", collection: SESSIONS, key: "a" as unknown as Uint8Array, value: text("v") },
  "a value that is no bytes": {
    type: "put",
    collection: SESSIONS,
    key: text("a"),
    value: undefined as unknown as Uint8Array,
  },
  "a collection without a name": put("a", "v", ""),
  "a range with both lower bounds": {
    type: "deleteRange",
    collection: SESSIONS,
    range: { gt: hex("00"), gte: hex("00") },
  },
  "an unknown type": { type: "increment", collection: SESSIONS } as unknown as Change,
};

/** Fails unless the call is refused as invalid, and the device store works on as if it had not been made. */
async function assertRefused(device: DeviceStore, what: string, call: () => Promise<unknown>): Promise<void> {
  const before = device.revision;
  try {
    await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", call);
  } catch (error) {
    throw new assert.AssertionError({ message: `${what}: ${(error as Error).message}` });
  }
  assert.equal(device.revision, before, `${what}: the revision stands`);
  assert.equal(device.failed.aborted, false, `${what}: the device store is not poisoned`);
}

export function argumentTests(define: Define): void {
  define("a device reference outside the contract is refused", async (scene) => {
    const store = await scene.store();
    for (const ref of Object.values(BAD_DEVICES)) {
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => store.openDevice(ref));
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () => store.deleteDevice(ref));
    }
    assert.deepEqual(await store.listDevices(), []);
  });

  define(
    "collection names, keys, ranges and pages outside the contract are refused and do not poison",
    async (scene) => {
      const device = await scene.device();
      await device.commit([put("a", "1")]);
      const key = text("a");
      for (const [what, collection] of Object.entries(BAD_COLLECTIONS)) {
        await assertRefused(device, what, () => device.get(collection, key));
        await assertRefused(device, what, () => device.getMany(collection, [key]));
        await assertRefused(device, what, () => device.list(collection, {}, { limit: 1 }));
        await assertRefused(device, what, () => device.count(collection));
        await assertRefused(device, what, () => device.commit([{ type: "dropCollection", collection }]));
      }
      await assertRefused(device, "a long key", () => device.get(SESSIONS, LONG_KEY));
      await assertRefused(device, "a long key among others", () => device.getMany(SESSIONS, [key, LONG_KEY]));
      for (const [what, range] of Object.entries(BAD_RANGES)) {
        await assertRefused(device, what, () => device.list(SESSIONS, range, { limit: 1 }));
        await assertRefused(device, what, () => device.count(SESSIONS, range));
      }
      for (const [what, page] of Object.entries(BAD_PAGES)) {
        await assertRefused(device, what, () => device.list(SESSIONS, {}, page));
      }
      assert.equal(toHex(await device.get(SESSIONS, key)), toHex(text("1")));
    },
  );

  define("options, lists and work that are none are refused and do not poison", async (scene) => {
    const store = await scene.store();
    const none = null as never;
    for (const refused of [
      () => store.openDevice(DEVICE, none),
      () => store.openDevice(DEVICE, { signal: {} as AbortSignal }),
      () => store.openDevice(DEVICE, { signal: none }),
      () => store.openForMove(DEVICE, none),
    ]) {
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", refused);
    }
    assert.deepEqual(await store.listDevices(), []);
    const device = await open(store);
    for (const [what, call] of Object.entries({
      "no keys": () => device.getMany(SESSIONS, none),
      "keys that are a string": () => device.getMany(SESSIONS, "ab" as never),
      "no changes": () => device.commit(none),
      "changes that are a number": () => device.commit(7 as never),
      "no change": () => device.commit([none]),
      "no work": () => device.batch(none),
    })) {
      await assertRefused(device, what, call);
    }
  });

  define("a commit whose last change is invalid changes nothing and does not poison", async (scene) => {
    const device = await scene.device();
    await device.commit([put("a", "1")]);
    for (const [what, change] of Object.entries(BAD_CHANGES)) {
      await assertRefused(device, what, () =>
        device.commit([put("a", "2"), put("b", "2"), { type: "dropCollection", collection: "other" }, change]),
      );
    }
    assert.equal(toHex(await device.get(SESSIONS, text("a"))), toHex(text("1")));
    assert.equal(await device.count(SESSIONS), 1);
    await device.commit([put("c", "3")]);
    await device.close();
    const again = await scene.device();
    assert.equal(again.revision, 2n);
    assert.equal(await again.count(SESSIONS), 2);
  });

  define("an invalid commit inside a batch changes nothing of the batch", async (scene) => {
    const device = await scene.device();
    await device.batch(async () => {
      await device.commit([put("a", "1")]);
      await rejectsWith("ERR_KEY_STORE_INVALID_ARGUMENT", () =>
        device.commit([put("a", "2"), put("b", "2"), put(LONG_KEY, "v")]),
      );
      assert.equal(await device.count(SESSIONS), 1);
    });
    assert.equal(device.revision, 1n);
    assert.equal(toHex(await device.get(SESSIONS, text("a"))), toHex(text("1")));
  });
}
