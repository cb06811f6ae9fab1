import { type DeviceStore, KeyStoreError } from "@holdfast/key-store-core";
import { expect, it } from "vitest";
import { createIndexedDB, type IDBDatabase } from "../../src/index.ts";
import { completionOf, openDatabase, resultOf } from "../support/requests.ts";
import { openDevice, withMethods } from "../support/stores.ts";

/** A device store as it is, but for what stands before each of its commits. */
function before(device: DeviceStore, commit: () => Promise<void>): DeviceStore {
  return withMethods(device, {
    async commit(changes) {
      await commit();
      return device.commit(changes);
    },
  });
}

async function openStores(device: DeviceStore): Promise<IDBDatabase> {
  return openDatabase(createIndexedDB(device), "database", 1, (database) => {
    database.createObjectStore("written");
    database.createObjectStore("other");
  });
}

it("fires `complete` after the commit has resolved, and never before", async () => {
  const device = await openDevice();
  const order: string[] = [];
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let held = false;
  const database = await openStores(
    before(device, async () => {
      if (!held) return;
      order.push(`a commit on revision ${device.revision}`);
      reached.resolve();
      await released.promise;
    }),
  );
  const revision = device.revision;
  held = true;
  const writing = database.transaction("written", "readwrite");
  const complete = completionOf(writing).then(() => order.push(`complete, with revision ${device.revision}`));
  await resultOf(writing.objectStore("written").put("value", "key"));
  await reached.promise;
  // Others run to their end meanwhile; who wants the same store waits.
  const waiting = resultOf(database.transaction("written").objectStore("written").get("key")).then((value) => {
    order.push(`read: ${value}`);
  });
  await completionOf(database.transaction("other"));
  order.push("another transaction is complete");
  released.resolve();
  await Promise.all([complete, waiting]);
  expect(order).toEqual([
    `a commit on revision ${revision}`,
    "another transaction is complete",
    `complete, with revision ${revision + 1n}`,
    "read: value",
  ]);
});

it("fires `abort` where the commit fails, and shows the old state to who comes next", async () => {
  const device = await openDevice();
  const failure = new KeyStoreError("ERR_KEY_STORE_DISK_FULL", "no space is left");
  let full = false;
  const database = await openStores(
    before(device, async () => {
      if (full) throw failure;
    }),
  );
  full = true;
  const writing = database.transaction("written", "readwrite");
  const ended = completionOf(writing);
  expect(await resultOf(writing.objectStore("written").put("value", "key"))).toBe("key");
  await expect(ended).rejects.toMatchObject({ name: "QuotaExceededError", cause: failure });
  expect(await resultOf(database.transaction("written").objectStore("written").get("key"))).toBeUndefined();
});

it("makes one commit of each transaction that writes, and none of one that reads", async () => {
  const device = await openDevice();
  const database = await openStores(device);
  const revision = device.revision;
  for (let n = 0; n < 3; n += 1) {
    const writing = database.transaction(["written", "other"], "readwrite");
    writing.objectStore("written").put(n, "key");
    writing.objectStore("other").put(n, "key");
    await completionOf(writing);
    expect(device.revision).toBe(revision + BigInt(n) + 1n);
    await completionOf(database.transaction(["written", "other"]));
    await completionOf(database.transaction("written", "readwrite"));
  }
  expect(device.revision).toBe(revision + 3n);
});

it("makes one commit of all transactions of a batch, at its end", async () => {
  const device = await openDevice();
  const database = await openStores(device);
  const revision = device.revision;
  const seen = await device.batch(async () => {
    for (const name of ["written", "other"]) {
      const writing = database.transaction(name, "readwrite");
      writing.objectStore(name).put("value", "key");
      await completionOf(writing);
    }
    const value = await resultOf(database.transaction("other").objectStore("other").get("key"));
    return { value, revision: device.revision };
  });
  expect(seen).toEqual({ value: "value", revision });
  expect(device.revision).toBe(revision + 1n);
});
