import { chmodSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it, onTestFinished } from "vitest";
import { Child } from "./children.ts";
import { DEVICE, deviceOf, newStore, openDevice, put, readyStore, reasonOf, refusal } from "./devices.ts";
import { directory, newPath, pathBelowFile } from "./place.ts";

describe("a path that cannot be used", () => {
  it("is told where a part of it is a file", async () => {
    const path = pathBelowFile(directory());
    expect(await refusal(path)).toMatch(/^ERR_KEY_STORE_UNAVAILABLE: .*choose another path/);
  });

  it("is told where it is a directory", async () => {
    expect(await refusal(directory())).toMatch(/^ERR_KEY_STORE_UNAVAILABLE: .*directory/);
  });

  it("says that there is nothing to be had, and throws nothing", async () => {
    const store = newStore(pathBelowFile(directory()));
    expect(await store.init()).toBe(false);
    expect(await store.openDevice(DEVICE)).toBeNull();
    expect(await store.listDevices()).toEqual([]);
    expect((await store.stats()).usage).toBeUndefined();
  });

  it("is used once it can be", async () => {
    const parent = directory();
    const store = newStore(join(parent, "keys.db"));
    mkdirSync(join(parent, "keys.db"));
    expect(await store.init()).toBe(false);
    rmdirSync(join(parent, "keys.db"));
    expect(await store.init()).toBe(true);
  });
});

// The superuser may write everywhere: a child that gives its rights away stands for any other user.
describe.runIf(process.platform !== "win32")("a user without rights", () => {
  async function initAsNobody(path: string): Promise<unknown> {
    return new Child("initAsNobody", path).says();
  }

  it("is told that the directory cannot be written", async () => {
    const parent = directory();
    chmodSync(parent, 0o555);
    expect(await initAsNobody(join(parent, "keys.db"))).toEqual([
      expect.stringMatching(/^ERR_KEY_STORE_UNAVAILABLE: .*let this user write in its directory/),
    ]);
    expect(readdirSync(parent)).toEqual([]);
  });

  it("is told that the directory of a key store cannot be written", async () => {
    const parent = directory();
    const path = join(parent, "keys.db");
    await (await readyStore(path)).close();
    chmodSync(path, 0o666);
    chmodSync(parent, 0o555);
    expect(await initAsNobody(path)).toEqual([
      expect.stringMatching(/^ERR_KEY_STORE_UNAVAILABLE: .*let this user write the file and in its directory/),
    ]);
  });

  it("is told that the file cannot be written", async () => {
    const parent = directory();
    const path = join(parent, "keys.db");
    await (await readyStore(path)).close();
    chmodSync(path, 0o444);
    chmodSync(parent, 0o777);
    expect(await initAsNobody(path)).toEqual([
      expect.stringMatching(/^ERR_KEY_STORE_UNAVAILABLE: .*let this user write the file/),
    ]);
  });

  it("is told that the file cannot be read", async () => {
    const parent = directory();
    const path = join(parent, "keys.db");
    await (await readyStore(path)).close();
    chmodSync(parent, 0o755);
    chmodSync(path, 0o600);
    expect(await initAsNobody(path)).toEqual([expect.stringMatching(/^ERR_KEY_STORE_UNAVAILABLE: .*unable to open/)]);
  });
});

describe("a file that another connection has locked", () => {
  /** A connection that lets nobody else read or write. */
  function lockWhole(path: string): Database.Database {
    const db = new Database(path);
    onTestFinished(() => void db.close());
    db.pragma("locking_mode = exclusive");
    db.exec("begin immediate; update store set id = id; commit");
    return db;
  }

  it("is given up after the time limit, and used once the lock is gone", async () => {
    const path = newPath();
    await (await readyStore(path)).close();
    const lock = lockWhole(path);
    const store = newStore({ path, busyTimeoutMs: 50 });
    expect(await store.init()).toBe(false);
    expect(reasonOf(store)).toMatch(
      /^ERR_KEY_STORE_UNAVAILABLE: .*another process has locked the file: wait for it, or end it/,
    );
    lock.close();
    expect(await store.init()).toBe(true);
  });

  it("is waited for by a commit, while the process does other things", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    const lock = new Database(path);
    onTestFinished(() => void lock.close());
    lock.exec("begin immediate");
    let committed = false;
    const commit = device.commit([put("a", "1")]).then(() => {
      committed = true;
    });
    const { promise: turns, resolve } = Promise.withResolvers<void>();
    let left = 50;
    setImmediate(function turn() {
      left -= 1;
      if (left === 0) resolve();
      else setImmediate(turn);
    });
    await turns;
    expect(committed).toBe(false);
    lock.exec("rollback");
    await commit;
    expect(device.revision).toBe(1n);
  });

  it("poisons a device whose commit has waited for its time limit", async () => {
    const path = newPath();
    const store = await readyStore({ path, busyTimeoutMs: 20, commitTimeoutMs: 100, operationTimeoutMs: 100 });
    const device = await openDevice(store);
    const lock = new Database(path);
    onTestFinished(() => void lock.close());
    lock.exec("begin immediate");
    await expect(device.commit([put("a", "1")])).rejects.toMatchObject({
      code: "ERR_KEY_STORE_UNAVAILABLE",
      retryable: true,
    });
    expect(device.failed.aborted).toBe(true);
    lock.exec("rollback");
    await device.close();
    expect((await openDevice(store)).revision).toBe(0n);
  });
});

it("leaves nothing behind where it could not be installed", async () => {
  const parent = directory();
  const path = join(parent, "keys.db");
  // The log of a key store whose main file is gone: it is not written over.
  writeFileSync(`${path}-wal`, "the last commits");
  expect(await refusal(path)).toMatch(/^ERR_KEY_STORE_CORRUPT: .*the file is missing, but its -wal is there/);
  expect(readdirSync(parent)).toEqual(["keys.db-wal"]);
  expect(statSync(`${path}-wal`).size).toBe(16);
});
