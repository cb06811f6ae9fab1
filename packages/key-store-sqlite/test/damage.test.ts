import {
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isKeyStoreError } from "@holdfast/key-store-core";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { SqliteKeyStore } from "../src/index.ts";
import { Child } from "./children.ts";
import { bytes, deviceOf, newStore, openDevice, put, readyStore, reasonOf, refusal } from "./devices.ts";
import { newPath } from "./place.ts";

/** A key store that was closed, with 200 records of about 300 bytes. */
async function filled(): Promise<string> {
  const path = newPath();
  const store = await readyStore(path);
  const device = await openDevice(store);
  await device.commit(Array.from({ length: 200 }, (_, at) => put(`key ${at}`, `${at} `.repeat(100))));
  await store.close();
  return path;
}

/** Runs SQL on a file that no store has open. */
function tamper(path: string, sql: string): void {
  const db = new Database(path);
  db.exec(sql);
  db.close();
}

/** A store is refused, and the file stays as it is, with nothing beside it. */
async function refusedAndKept(path: string, reason: RegExp): Promise<void> {
  const before = readFileSync(path);
  expect(await refusal(path)).toMatch(reason);
  expect(readFileSync(path).equals(before)).toBe(true);
}

describe("a file that is no key store is refused and kept", () => {
  const contents: readonly (readonly [string, Uint8Array | string])[] = [
    ["text", "not a database, and longer than the header of one. ".repeat(100)],
    ["a few bytes", "hello"],
    ["zeros", new Uint8Array(8192)],
    ["nothing", ""],
  ];
  for (const [what, content] of contents) {
    it(what, async () => {
      const path = newPath();
      writeFileSync(path, content);
      await refusedAndKept(path, /^ERR_KEY_STORE_CORRUPT: .*kept as it is|ERR_KEY_STORE_CORRUPT: .*is empty/);
    });
  }

  it("the database of another program", async () => {
    const path = newPath();
    tamper(path, "create table customer (name text); insert into customer values ('x')");
    await refusedAndKept(path, /^ERR_KEY_STORE_CORRUPT: .*belongs to another program/);
  });

  it("an empty database of another program", async () => {
    const path = newPath();
    tamper(path, "pragma application_id = 7; create table t (x); drop table t");
    await refusedAndKept(path, /^ERR_KEY_STORE_CORRUPT: .*belongs to another program/);
  });

  it("a key store whose tables are gone", async () => {
    const path = await filled();
    tamper(path, "drop table migration");
    await refusedAndKept(path, /^ERR_KEY_STORE_CORRUPT: .*the tables are not what this library wrote/);
  });
});

describe("a key store that is damaged", () => {
  it("is refused and kept where it was cut short", async () => {
    const path = await filled();
    const size = readFileSync(path).byteLength;
    for (const length of [size - 4096, Math.floor(size / 2), 4096, 1000, 100, 20, 0]) {
      const copy = newPath();
      copyFileSync(path, copy);
      truncateSync(copy, length);
      await refusedAndKept(copy, /^ERR_KEY_STORE_CORRUPT: /);
    }
  });

  it("never answers with other bytes than were written, wherever a byte is flipped", async () => {
    const path = await filled();
    const whole = readFileSync(path);
    const keys = Array.from({ length: 200 }, (_, at) => bytes(`key ${at}`));
    const outcomes = { refused: 0, corrupt: 0, unharmed: 0 };
    const copy = newPath();
    // A prime step, so that the offsets within pages differ.
    for (let offset = 0; offset < whole.byteLength; offset += 1021) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(offset) ^ 0x40, offset);
      writeFileSync(copy, damaged);
      const store = new SqliteKeyStore({ path: copy, cacheBytes: 0 });
      try {
        if (!(await store.init())) {
          expect(reasonOf(store), `offset ${offset}`).toMatch(/^ERR_KEY_STORE_(CORRUPT|SCHEMA_TOO_NEW|ROLLBACK)/);
          outcomes.refused += 1;
          continue;
        }
        const device = await openDevice(store);
        const values = await device.getMany("sessions", keys);
        expect(
          values.map((value) => value && new TextDecoder().decode(value)),
          `offset ${offset}`,
        ).toEqual(keys.map((_, at) => `${at} `.repeat(100)));
        outcomes.unharmed += 1;
      } catch (error) {
        if (!isKeyStoreError(error, "ERR_KEY_STORE_CORRUPT")) throw error;
        outcomes.corrupt += 1;
      } finally {
        await store.close();
        for (const suffix of ["-wal", "-shm"]) rmSync(copy + suffix, { force: true });
      }
    }
    expect(outcomes.refused).toBeGreaterThan(0);
    expect(outcomes.corrupt).toBeGreaterThan(0);
  }, 60_000);

  it("does not give out a record whose bytes were changed, and poisons", async () => {
    const path = await filled();
    tamper(path, "update record set value = x'00' where key = cast('key 7' as blob)");
    const device = await deviceOf(path);
    expect(await device.get("sessions", bytes("key 6"))).toEqual(bytes("6 ".repeat(100)));
    await expect(device.get("sessions", bytes("key 7"))).rejects.toMatchObject({ code: "ERR_KEY_STORE_CORRUPT" });
    await expect(device.get("sessions", bytes("key 6"))).rejects.toMatchObject({ code: "ERR_KEY_STORE_POISONED" });
  });
});

it("refuses a key store of a later version, and keeps it", async () => {
  const path = await filled();
  tamper(path, "insert into migration values ('0042_future', '2030-01-01T00:00:00.000Z')");
  await refusedAndKept(path, /^ERR_KEY_STORE_SCHEMA_TOO_NEW: .*its schema is 42, this one knows 4/);
});

describe("the write-ahead log", () => {
  /** A key store whose writer was killed after it had made commits. */
  async function killed(commits = 3): Promise<string> {
    const path = newPath();
    const child = new Child("write", path, 64);
    await child.says(commits);
    await child.kill();
    return path;
  }

  it("is used after an unclean end", async () => {
    const path = await killed();
    expect((await deviceOf(path)).revision).toBeGreaterThanOrEqual(3n);
  });

  it("is missed where it is gone after an unclean end, time and again", async () => {
    const path = await killed();
    renameSync(`${path}-wal`, `${path}-elsewhere`);
    rmSync(`${path}-shm`);
    await refusedAndKept(path, /^ERR_KEY_STORE_ROLLBACK: .*its write-ahead log .* is missing/);
    await refusedAndKept(path, /^ERR_KEY_STORE_ROLLBACK: .*put the log back beside the file/);
    renameSync(`${path}-elsewhere`, `${path}-wal`);
    expect((await deviceOf(path)).revision).toBeGreaterThanOrEqual(3n);
  });

  it("is missed where it is empty", async () => {
    const path = await killed();
    truncateSync(`${path}-wal`, 0);
    await refusedAndKept(path, /^ERR_KEY_STORE_ROLLBACK: /);
  });

  const damages: readonly (readonly [string, (log: Buffer) => Uint8Array])[] = [
    ["has a header of zeros", (log) => log.fill(0, 0, 32)],
    ["has one bit of its salt flipped", (log) => log.fill(log.readUInt8(16) ^ 1, 16, 17)],
    ["counts its salt up by one", (log) => log.fill(log.readUInt8(19) + 1, 19, 20)],
    ["has another page size in its header", (log) => log.fill(0x20, 10, 11)],
    ["has one bit of its first page flipped", (log) => log.fill(log.readUInt8(60) ^ 1, 60, 61)],
    ["has one bit of its first frame's salt flipped", (log) => log.fill(log.readUInt8(40) ^ 1, 40, 41)],
    ["is all zeros", (log) => log.fill(0)],
    ["is cut to its header", (log) => log.subarray(0, 32)],
    ["is cut within its first frame", (log) => log.subarray(0, 1000)],
    ["holds something else", () => Buffer.alloc(4096, 7)],
  ];
  for (const [what, damage] of damages) {
    it(`is missed where it ${what}, time and again, and kept`, async () => {
      const path = await killed();
      const damaged = damage(readFileSync(`${path}-wal`));
      writeFileSync(`${path}-wal`, damaged);
      for (let look = 1; look <= 2; look += 1) {
        await refusedAndKept(path, /^ERR_KEY_STORE_ROLLBACK: .*its write-ahead log .* is missing or damaged/);
        expect(readFileSync(`${path}-wal`).equals(damaged)).toBe(true);
      }
    });
  }

  /** Where the frames of a log begin, and where the transactions end in it, by its own headers. */
  function framesOf(log: Buffer): { starts: number[]; ends: number[] } {
    const starts: number[] = [];
    const ends: number[] = [];
    const size = log.readUInt32BE(8) + 24;
    for (let at = 32; at + size <= log.byteLength; at += size) {
      if (log.readUInt32BE(at + 8) !== log.readUInt32BE(16)) break;
      starts.push(at);
      if (log.readUInt32BE(at + 4) > 0) ends.push(at + size);
    }
    return { starts, ends };
  }

  it("is missed where a page in the middle of it is damaged, and kept", async () => {
    const path = await killed(20);
    const log = readFileSync(`${path}-wal`);
    const { starts } = framesOf(log);
    const middle = starts[Math.floor(starts.length / 2)] ?? 0;
    log.writeUInt8(log.readUInt8(middle + 100) ^ 1, middle + 100);
    writeFileSync(`${path}-wal`, log);
    await refusedAndKept(path, /^ERR_KEY_STORE_ROLLBACK: .*is missing or damaged/);
    expect(readFileSync(`${path}-wal`).equals(log)).toBe(true);
    expect((await deviceOf({ path, acceptMissingWal: true })).revision).toBeLessThan(20n);
  });

  it("is used up to a last commit that is there in parts, as a loss of power leaves one", async () => {
    const path = await killed(20);
    const log = readFileSync(`${path}-wal`);
    const { starts, ends } = framesOf(log);
    const whole = ends.length;
    const torn = starts.find((start) => start >= (ends[whole - 2] ?? 0)) ?? 0;
    log.fill(0, torn, torn + 24);
    writeFileSync(`${path}-wal`, log);
    expect((await deviceOf(path)).revision).toBeGreaterThanOrEqual(19n);
  });

  it("is not missed where a kill came between its new beginning and the mark", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    for (let commit = 0; commit < 5; commit += 1) await device.commit([put("a", new Uint8Array(5 << 20).fill(commit))]);
    await nextTurn();
    // The log was just moved and begun anew, and holds the mark alone: taken back, the file is as such a kill leaves it.
    const log = readFileSync(`${path}-wal`);
    expect(framesOf(log).starts).toEqual([32]);
    const next = 32 + log.readUInt32BE(8) + 24;
    const begunAnew = Buffer.from(log);
    log.copy(begunAnew, 32, next, next + 24);
    for (const left of [begunAnew, Buffer.from(log).fill(7, 56, 80)]) {
      const copy = newPath();
      copyFileSync(path, copy);
      writeFileSync(`${copy}-wal`, left);
      const opened = await openDevice(await readyStore(copy), { lease: "take-over" });
      expect(opened.revision).toBe(5n);
    }
  });

  it("is done without where that is asked for by name", async () => {
    const path = await killed();
    rmSync(`${path}-wal`);
    const device = await deviceOf({ path, acceptMissingWal: true });
    expect(device.revision).toBe(0n);
    await device.commit([put("a", "1")]);
  });

  it("is missed in a copy of the main file alone that was made while it was open", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    await device.commit([put("a", "1")]);
    const copy = newPath();
    copyFileSync(path, copy);
    await refusedAndKept(copy, /^ERR_KEY_STORE_ROLLBACK: /);
  });

  it("is not missed after a process that ended without closing anything", async () => {
    const path = newPath();
    const child = new Child("exit", path);
    await child.ended;
    expect(child.process.exitCode).toBe(0);
    expect((await deviceOf(path)).revision).toBe(1n);
  });

  it("is not missed after another program has opened the file and closed it", async () => {
    const path = await killed();
    const db = new Database(path);
    expect(db.prepare("select count(*) from record_by_name").pluck().get()).toBe(3);
    db.close();
    expect(existsSync(`${path}-wal`)).toBe(false);
    expect((await deviceOf(path)).revision).toBeGreaterThanOrEqual(3n);
  });

  it("is missed, and said not to be lost for certain, after a kill in a checkpoint that another program has finished", async () => {
    const path = await filled();
    tamper(path, "update store set wal_complete = 0");
    await refusedAndKept(path, /^ERR_KEY_STORE_ROLLBACK: .*nothing is lost only where a process was killed while/);
    expect((await deviceOf({ path, acceptMissingWal: true })).revision).toBe(1n);
  });

  it("is moved into the file when a commit that made it long has been answered", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    await device.commit([put("a", new Uint8Array(6 << 20))]);
    expect(statSync(path).size).toBeLessThan(1 << 20);
    await nextTurn();
    expect(statSync(path).size).toBeGreaterThan(6 << 20);
    const copy = newPath();
    copyFileSync(path, copy);
    await refusedAndKept(copy, /^ERR_KEY_STORE_ROLLBACK: /);
  });

  it("is moved into the file by closing at the latest, though another store has it open", async () => {
    const path = newPath();
    const other = await readyStore(path);
    const store = await readyStore(path);
    const device = await openDevice(store);
    await device.commit([put("a", new Uint8Array(6 << 20))]);
    await store.close();
    expect(statSync(path).size).toBeGreaterThan(6 << 20);
    expect(await (await openDevice(other)).get("sessions", bytes("a"))).toHaveLength(6 << 20);
  });

  it("is left to an owner of the database who is in a transaction by then, and moved after the next commit", async () => {
    const path = newPath();
    const database = new Database(path);
    const store = await readyStore({ database });
    const device = await openDevice(store);
    await device.commit([put("a", new Uint8Array(6 << 20))]);
    database.exec("begin immediate");
    await nextTurn();
    expect(statSync(path).size).toBeLessThan(1 << 20);
    expect(database.inTransaction).toBe(true);
    database.exec("commit");
    await device.commit([put("b", "1")]);
    await nextTurn();
    expect(statSync(path).size).toBeGreaterThan(6 << 20);
    await store.close();
    database.close();
  });

  it("stays bounded, and is still missed after many checkpoints", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    for (let commit = 0; commit < 40; commit += 1)
      await device.commit([put("a", new Uint8Array(1 << 20).fill(commit))]);
    expect(readFileSync(`${path}-wal`).byteLength).toBeLessThan(8 * 1024 * 1024);
    const copy = newPath();
    copyFileSync(path, copy);
    await refusedAndKept(copy, /^ERR_KEY_STORE_ROLLBACK: /);
  });
});

describe("a file that goes away while it is open", () => {
  it("ends the commits of its devices where it was removed", async () => {
    const path = newPath();
    const device = await deviceOf(path);
    await device.commit([put("a", "1")]);
    rmSync(path);
    await expect(device.commit([put("a", "2")])).rejects.toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    expect(device.failed.aborted).toBe(true);
  });

  it("is not made anew by the process that had it open", async () => {
    const path = newPath();
    const store = newStore(path);
    await store.init();
    rmSync(path);
    expect(await store.init()).toBe(false);
    expect(reasonOf(store)).toMatch(/^ERR_KEY_STORE_ROLLBACK: .*was removed while this process had it open/);
    expect(existsSync(path)).toBe(false);
  });

  it("ends the commits of its devices where another took its place", async () => {
    const [path, other] = [newPath(), newPath()];
    await (await readyStore(other)).close();
    const device = await deviceOf(path);
    await device.commit([put("a", "1")]);
    renameSync(other, path);
    await expect(device.commit([put("a", "2")])).rejects.toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
  });
});
