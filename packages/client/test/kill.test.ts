import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EncryptedEvent, encryptedEvent, textsOf } from "./cut/events.ts";
import { type Ciphertext, reused } from "./cut/megolm.ts";
import type { Storage } from "./kill/life.ts";
import { type Material, makeMaterial } from "./kill/material.ts";
import { type Lived, live } from "./kill/parent.ts";

const KILLS = 5;
/** More than a process acknowledges before it is to die: it may come further before the signal reaches it, and no further than this. */
const ROUNDS_IN_LIFE = 24;
const CALLS_IN_ROUND = 3;
const SEED = 20_240_229;
/** Each life is a process that starts. */
const TIMEOUT_MS = 240_000;

/** Mulberry32: numbers from 0 up to 1, the same ones for the same seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a device has acknowledged, over all its lives. */
class Acknowledged {
  readonly events: EncryptedEvent[] = [];
  readonly texts: string[] = [];
  readonly sent: Ciphertext[] = [];
  /** The first round that it has not acknowledged as a whole: the next process does all of it again. */
  round = 0;
  readonly #material: Material;

  constructor(material: Material) {
    this.#material = material;
  }

  take({ acknowledged }: Lived): void {
    const { rounds, life } = this.#material;
    for (const [index, told] of acknowledged.entries()) {
      const given = rounds[this.round + Math.floor(index / CALLS_IN_ROUND)];
      if (given === undefined) throw new Error("the device acknowledged what it was not given");
      if (told.told === "sent") {
        this.sent.push({ content: told.content, body: given.sent });
        this.#readable(encryptedEvent(life.room, life.userId, told.content), given.sent);
      } else {
        this.#readable(given[told.told].event, given[told.told].text);
      }
    }
    this.round += Math.floor(acknowledged.length / CALLS_IN_ROUND);
  }

  #readable(event: EncryptedEvent, text: string): void {
    this.events.push(event);
    this.texts.push(text);
  }
}

describe("a device whose process is killed while it works", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-kill-"));
  let postgres: DevPostgres;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(async () => {
    await postgres?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const storages: readonly { name: string; make: () => Promise<Storage> }[] = [
    { name: "SQLite", make: async () => ({ kind: "sqlite", path: join(directory, "keys.sqlite") }) },
    { name: "PostgreSQL", make: async () => ({ kind: "postgres", url: await postgres.createDatabase() }) },
  ];

  it.each(storages)(
    "has on $name its identity and everything that it has acknowledged",
    async ({ make }) => {
      const material = await makeMaterial(await make(), KILLS * ROUNDS_IN_LIFE);
      const { life, rounds, identity, peer } = material;
      const acknowledged = new Acknowledged(material);
      const next = random(SEED);
      const lives: Lived[] = [];
      for (let kill = 0; kill < KILLS; kill += 1) {
        const death = { afterCalls: 1 + Math.floor(next() * 40), thenMs: next() * 20 };
        const given = rounds.slice(acknowledged.round, acknowledged.round + ROUNDS_IN_LIFE);
        const lived = await live({ ...life, readable: acknowledged.events, rounds: given, toBeKilled: true }, death);
        expect(lived).toMatchObject({ identity, signal: "SIGKILL", isDone: false });
        expect(lived.texts).toEqual(acknowledged.texts);
        expect(lived.acknowledged.length).toBeGreaterThanOrEqual(death.afterCalls);
        acknowledged.take(lived);
        lives.push(lived);
      }
      const last = await live({ ...life, readable: acknowledged.events, rounds: [], toBeKilled: false });
      expect(last).toMatchObject({ identity, exitCode: 0, isDone: true });
      expect(last.texts).toEqual(acknowledged.texts);
      expect(acknowledged.texts.length).toBe(lives.reduce((calls, lived) => calls + lived.acknowledged.length, 0));

      const { sent } = acknowledged;
      expect(sent.length).toBeGreaterThan(0);
      expect(reused(sent)).toEqual([]);
      const events = sent.map(({ content }) => encryptedEvent(life.room, life.userId, content));
      expect(await peer.run((machine) => textsOf(machine, events))).toEqual(sent.map(({ body }) => body));
    },
    TIMEOUT_MS,
  );
});
