import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createDatabase } from "@holdfast/dev-postgres";
import { describe, expect, inject, it } from "vitest";
import { FIXTURE, readFixture } from "../../../test/fixtures/contents.ts";
import { PostgresKeyStore } from "../src/index.ts";
import { SCHEMA_VERSION } from "../src/migrations/index.ts";
import { observer } from "./server.ts";

const FIXTURES = join(import.meta.dirname, "fixtures");
const releases = globSync("*.sql", { cwd: FIXTURES }).map((file) => basename(file, ".sql"));

describe("a store that an earlier release has written", () => {
  it("is kept from the first release on", () => {
    expect(releases).toContain("0.1.0");
  });

  it.each(releases)("is brought up to date and read whole, and written again: %s", async (release) => {
    const url = await createDatabase(inject("serverUrl"), `release_${process.pid}_${releases.indexOf(release)}`);
    const sql = observer(url);
    await sql.unsafe(readFileSync(join(FIXTURES, `${release}.sql`), "utf8"));
    await sql.end();
    {
      await using store = new PostgresKeyStore({ url });
      expect(await store.init()).toBe(true);
      expect(await readFixture(store)).toEqual(FIXTURE);
      expect((await store.stats()).engine?.schemaVersion).toBe(SCHEMA_VERSION);
      await using device = await store.openDevice({ userId: "@bob:example.org", deviceId: "ALICE" });
      await device?.commit([{ type: "put", collection: "one", key: Buffer.from("new"), value: Buffer.from("value") }]);
    }
    {
      await using store = new PostgresKeyStore({ url });
      await store.init();
      await using device = await store.openDevice({ userId: "@bob:example.org", deviceId: "ALICE" });
      expect(device?.revision).toBe(2n);
      expect(Buffer.from((await device?.get("one", Buffer.from("new"))) ?? []).toString()).toBe("value");
      expect(await device?.count("one")).toBe(2);
    }
  });
});
