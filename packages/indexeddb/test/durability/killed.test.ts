import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createIndexedDB } from "../../src/index.ts";
import { openDatabase, resultOf } from "../support/requests.ts";
import { Child } from "./child.ts";
import { ledgerAfter, openLedger, readLedger } from "./ledger.ts";
import { openDevice, type Storage } from "./storage.ts";
import { durableStorages } from "./storages.ts";

/** How many processes die, one after the other, on each kind of storage. */
const DEATHS: Record<Storage["kind"], number> = { SQLite: 6, PostgreSQL: 5 };

/**
 * Runs a program that says growing numbers, and kills it at some moment after
 * it has said a few. Answers with the last one that it said.
 */
async function lifeOf(program: URL, argument: unknown, death: number): Promise<number> {
  const child = new Child<number>(program, argument);
  const first = await child.says();
  await child.says((said) => said >= first + ((death * 5) % 7));
  // Somewhere inside the next transactions.
  await delay((death * 3) % 11);
  await child.kill();
  return child.said.at(-1) ?? Number.NaN;
}

describe.each(durableStorages())("a process killed while it writes to %s", (kind, newStorage) => {
  // The larger transactions take several statements, checkpoints and pages of the socket each.
  it.each([16, 100_000])(
    "leaves its last complete transaction or the one after it, whole (records of %i bytes)",
    async (bytes) => {
      const storage = await newStorage();
      let complete = 0;
      for (let death = 1; death <= DEATHS[kind]; death += 1) {
        const last = await lifeOf(new URL("./programs/write-ledger.ts", import.meta.url), { storage, bytes }, death);
        expect(last).toBeGreaterThan(complete);
        await using opened = await openDevice(storage);
        const ledger = await openLedger(createIndexedDB(opened.device));
        const state = await readLedger(ledger);
        ledger.close();
        complete = state.generations[0] ?? Number.NaN;
        expect([last, last + 1]).toContain(complete);
        expect(state).toEqual(ledgerAfter(complete));
      }
    },
  );

  it("leaves its last open version of a schema or the one after it, whole", async () => {
    const storage = await newStorage();
    let open = 0;
    for (let death = 1; death <= DEATHS[kind]; death += 1) {
      const last = await lifeOf(new URL("./programs/upgrade-schema.ts", import.meta.url), { storage }, death);
      expect(last).toBeGreaterThan(open);
      await using opened = await openDevice(storage);
      const database = await openDatabase(createIndexedDB(opened.device), "upgraded");
      open = database.version;
      expect([last, last + 1]).toContain(open);
      expect([...database.objectStoreNames]).toEqual([`version ${open}`]);
      const store = database.transaction([`version ${open}`]).objectStore(`version ${open}`);
      expect([...store.indexNames]).toEqual(["n"]);
      const [records, indexed] = await Promise.all([resultOf(store.getAll()), resultOf(store.index("n").getAllKeys())]);
      const numbers = Array.from({ length: 30 }, (_, n) => n);
      expect(records).toEqual(numbers.map((n) => ({ n, version: open })));
      expect(indexed).toEqual(numbers.map((n) => n + 1));
      database.close();
    }
  });
});
