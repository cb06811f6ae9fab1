import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DevPostgres, startPostgres } from "../packages/dev-postgres/src/index.ts";
import { type KeyStore, KeyStoreError } from "../packages/key-store-core/src/index.ts";
import { MemoryStorage } from "../packages/key-store-memory/src/index.ts";
import { moveDevice } from "../packages/key-store-move/src/index.ts";
import type { Watch } from "./support/mortal.ts";
import { fill, opensWhole, type Place, storeAt } from "./support/stores.ts";

let server: DevPostgres;
let directory: string;
let files = 0;

beforeAll(async () => {
  server = await startPostgres();
  directory = mkdtempSync(join(tmpdir(), "holdfast-moves-"));
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  memory: async () => new MemoryStorage(),
  SQLite: async () => {
    files += 1;
    return join(directory, `${files}.db`);
  },
  PostgreSQL: () => server.createDatabase(),
};

async function placeOf(kind: string): Promise<Place> {
  const make = PLACES[kind];
  if (make === undefined) throw new Error(`no store is called ${kind}`);
  return make();
}

/** What holds after every end of a mover, and that the next call finishes the move. */
async function finish(from: KeyStore, to: KeyStore, deviceId: string): Promise<void> {
  const opens = [await opensWhole(from, deviceId), await opensWhole(to, deviceId)];
  expect(opens, "at most one store opens the device").not.toEqual([true, true]);
  const device = { userId: "@bot:example.org", deviceId };
  const { outcome } = await moveDevice({ from, to, device, lease: "take-over" });
  expect(["moved", "already-moved"]).toContain(outcome);
  expect([await opensWhole(from, deviceId), await opensWhole(to, deviceId)]).toEqual([false, true]);
}

describe("a move between stores of different kinds", () => {
  for (const [source, target] of [
    ["memory", "SQLite"],
    ["memory", "PostgreSQL"],
    ["SQLite", "PostgreSQL"],
    ["PostgreSQL", "SQLite"],
    ["SQLite", "memory"],
    ["PostgreSQL", "memory"],
  ] as const) {
    it(`from ${source} to ${target} is whole though it ends after any call of a driver`, async () => {
      const places = [await placeOf(source), await placeOf(target)] as const;
      const [from, to] = [await storeAt(places[0]), await storeAt(places[1])];
      let last = 0;
      for (let at = 1; last === 0; at += 1) {
        const deviceId = `cut ${at}`;
        await fill(from, deviceId);
        let calls = 0;
        // What the last call did is done, and nobody hears of it.
        const watch: Watch = async (attempt) => {
          calls += 1;
          if (calls < at) return attempt();
          if (calls === at) await attempt();
          // Final, so that nothing is tried again.
          throw new KeyStoreError("ERR_KEY_STORE_FENCED", "the process is gone");
        };
        const ends = [await storeAt(places[0], watch), await storeAt(places[1], watch)] as const;
        const device = { userId: "@bot:example.org", deviceId };
        await moveDevice({ from: ends[0], to: ends[1], device }).catch(() => {});
        for (const end of ends) await end.close();
        await finish(from, to, deviceId);
        if (calls < at) last = calls;
      }
      expect(last).toBeGreaterThan(15);
      await from.close();
      await to.close();
    }, 180_000);
  }

  it("from SQLite to PostgreSQL is whole though its process is killed at any call of a driver", async () => {
    const places = [await placeOf("SQLite"), await placeOf("PostgreSQL")].map(String);
    const [from, to] = [await storeAt(places[0] ?? ""), await storeAt(places[1] ?? "")];
    const program = join(import.meta.dirname, "programs/move-until-killed.ts");
    let killed = 0;
    for (let at = 1; ; at += 1) {
      const deviceId = `killed ${at}`;
      await fill(from, deviceId);
      const how = at % 2 === 0 ? "before" : "during";
      const child = spawn(process.execPath, [program, ...places, deviceId, `${at}`, how], { stdio: "inherit" });
      const [code, signal] = await once(child, "exit");
      await finish(from, to, deviceId);
      if (signal === "SIGKILL") killed += 1;
      else {
        expect([code, signal]).toEqual([0, null]);
        break;
      }
    }
    expect(killed).toBeGreaterThan(15);
    await from.close();
    await to.close();
  }, 240_000);
});
