import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { bytes, openDevice, put, readyStore } from "./devices.ts";
import { directory, newPath } from "./place.ts";

it("says that the disk is full, and keeps the state before the commit", async () => {
  const db = new Database(newPath());
  onTestFinished(() => void db.close());
  const store = await readyStore({ database: db });
  const device = await openDevice(store);
  await device.commit([put("a", "before")]);
  const pages = db.pragma("page_count", { simple: true }) as number;
  // The file may not grow by more than four pages: to SQLite that is a disk that is full.
  db.pragma(`max_page_count = ${pages + 4}`);
  await expect(device.commit([put("a", "after"), put("b", new Uint8Array(100_000))])).rejects.toMatchObject({
    code: "ERR_KEY_STORE_DISK_FULL",
    retryable: false,
  });
  expect(device.failed.aborted).toBe(true);
  await device.close();

  db.pragma("max_page_count = 1000000");
  const again = await openDevice(store);
  expect(again.revision).toBe(1n);
  expect(await again.getMany("sessions", [bytes("a"), bytes("b")])).toEqual([bytes("before"), undefined]);
  expect((await store.stats()).usage?.collections).toEqual([{ collection: "sessions", records: 1, bytes: 7 }]);
  await again.commit([put("b", new Uint8Array(100_000))]);
});

/** A file system of this size, where this process may mount one. */
function smallDisk(size: string): string | undefined {
  const path = join(directory(), "disk");
  mkdirSync(path);
  try {
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync("/bin/umount", [path]));
  return path;
}

it("rides out a disk that is really full, where one can be mounted", async ({ skip }) => {
  const disk = smallDisk("1m");
  if (disk === undefined) return skip("this user may not mount a file system");
  const path = join(disk, "keys.db");
  const store = await readyStore(path);
  let device = await openDevice(store);
  await device.commit([put("a", "before")]);
  await expect(device.commit([put("a", "after"), put("b", new Uint8Array(3_000_000))])).rejects.toMatchObject({
    code: "ERR_KEY_STORE_DISK_FULL",
  });
  await device.close();
  device = await openDevice(store);
  expect(device.revision).toBe(1n);
  expect(await device.getMany("sessions", [bytes("a"), bytes("b")])).toEqual([bytes("before"), undefined]);
  await device.commit([put("a", "there is room for little ones")]);
  await store.close();

  const again = await openDevice(await readyStore(path));
  expect(await again.get("sessions", bytes("a"))).toEqual(bytes("there is room for little ones"));
});
