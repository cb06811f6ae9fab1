import { copyFileSync, globSync } from "node:fs";
import { basename, join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { FIXTURE, readFixture } from "../../../test/fixtures/contents.ts";
import { SqliteKeyStore } from "../src/index.ts";
import { SCHEMA_VERSION } from "../src/schema.ts";
import { newDirectory, removeDirectory } from "./place.ts";

const FIXTURES = join(import.meta.dirname, "fixtures");
const releases = globSync("*.sqlite", { cwd: FIXTURES }).map((file) => basename(file, ".sqlite"));

describe("a store that an earlier release has written", () => {
  it("is kept from the first release on", () => {
    expect(releases).toContain("0.1.0");
  });

  it.each(releases)("is brought up to date and read whole, and written again: %s", async (release) => {
    const directory = newDirectory();
    const path = join(directory, "keys.sqlite");
    copyFileSync(join(FIXTURES, `${release}.sqlite`), path);
    {
      await using store = new SqliteKeyStore({ path });
      expect(await store.init()).toBe(true);
      expect(await readFixture(store)).toEqual(FIXTURE);
      expect((await store.stats()).engine?.schemaVersion).toBe(SCHEMA_VERSION);
      await using device = await store.openDevice({ userId: "@bob:example.org", deviceId: "ALICE" });
      await device?.commit([{ type: "put", collection: "one", key: Buffer.from("new"), value: Buffer.from("value") }]);
    }
    {
      await using store = new SqliteKeyStore({ path });
      await store.init();
      await using device = await store.openDevice({ userId: "@bob:example.org", deviceId: "ALICE" });
      expect(device?.revision).toBe(2n);
      expect(await device?.get("one", Buffer.from("new"))).toEqual(new Uint8Array(Buffer.from("value")));
      expect(await device?.count("one")).toBe(2);
    }
    const db = new Database(path, { readonly: true });
    expect(db.prepare("select name from sqlite_schema where type = 'view'").pluck().all()).toEqual(["record_by_name"]);
    const shown = "select count(*) from record_by_name where collection = 'one' and user_id = '@bob:example.org'";
    expect(db.prepare(shown).pluck().get()).toBe(2);
    db.close();
    removeDirectory(directory);
  });
});
