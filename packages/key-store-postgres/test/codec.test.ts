import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytes, count, flag, integer, optionalText, type Row, text } from "../src/codec.ts";
import type { PostgresDriver } from "../src/driver.ts";
import { acquired, changesOf, connected } from "./driver.ts";
import { testDatabase } from "./server.ts";

function row(...columns: (string | null)[]): Row {
  return columns.map((column) => (column === null ? null : new TextEncoder().encode(column)));
}

describe("a row that the server cannot have meant", () => {
  const corrupt = expect.objectContaining({ name: "KeyStoreError", code: "ERR_KEY_STORE_CORRUPT", retryable: false });
  const readers = { text, integer, count, flag, bytes, optionalText };
  const cases: [keyof typeof readers, Row][] = [
    ["text", row(null)],
    ["text", row()],
    ["optionalText", row()],
    ["integer", row("1.5")],
    ["integer", row("")],
    ["integer", row(null)],
    ["count", row("9007199254740993")],
    ["flag", row("true")],
    ["flag", row(null)],
    ["bytes", row(null)],
  ];
  for (const [reader, given] of cases) {
    it(`is corruption, and no TypeError: ${reader} of ${JSON.stringify(given.map(String))}`, () => {
      expect(() => readers[reader](given, 0)).toThrow(corrupt);
    });
  }
});

describe("keys, values and names", () => {
  const database = testDatabase();
  const drivers: PostgresDriver[] = [];
  beforeAll(async () => {
    drivers.push(await connected({ url: database.url }));
    // The notation of old, which a database may still be set to.
    const [{ name = "" } = {}] = await database.sql<{ name: string }[]>`select current_database() as name`;
    await database.sql`alter database ${database.sql(name)} set bytea_output = escape`;
    drivers.push(await connected({ url: database.url }));
  });
  afterAll(() => Promise.all(drivers.map((driver) => driver.disconnect())));

  it("come back as they were, in both notations of the server", async () => {
    for (const driver of drivers) {
      const { device, guard } = await acquired(driver);
      let { revision } = guard;
      const someBytes = fc.uint8Array({ maxLength: 60 });
      const someName = fc
        .string({ unit: "binary", minLength: 1, maxLength: 30 })
        .filter((name) => !name.includes("\0"));
      await fc.assert(
        fc.asyncProperty(someName, someBytes, someBytes, async (collection, key, value) => {
          const changes = [changesOf(collection, { puts: [{ key, value }] })];
          expect(await device.commit({ ...guard, revision }, changes)).toBe(true);
          revision += 1n;
          expect(await device.getMany(collection, [key, new Uint8Array(61)])).toEqual([value, undefined]);
          const all = { start: new Uint8Array(), end: undefined };
          expect(await device.list(collection, all, { limit: 1_000 })).toContainEqual({ key, value });
        }),
        {
          numRuns: 60,
          examples: [["\\\"{},NULL'", Uint8Array.of(0x5c, 0x78), Uint8Array.of(0x5c, 0x5c, 0x78, 0, 255)]],
        },
      );
    }
  });

  it("are plain arrays of bytes, whose slices are copies", async () => {
    const [driver] = drivers;
    if (driver === undefined) throw new Error("no driver");
    const { device, guard } = await acquired(driver);
    const puts = [{ key: Uint8Array.of(1), value: Uint8Array.of(1, 2, 3) }];
    expect(await device.commit(guard, [changesOf("plain", { puts })])).toBe(true);
    const [value] = await device.getMany("plain", [Uint8Array.of(1)]);
    expect(value?.constructor).toBe(Uint8Array);
  });
});
