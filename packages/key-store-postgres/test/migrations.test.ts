import { createDatabase } from "@holdfast/dev-postgres";
import { describe, expect, inject, it } from "vitest";
import { PostgresKeyStore } from "../src/index.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "../src/migrations/index.ts";
import { DEVICE, text } from "./driver.ts";
import { observer, testDatabase } from "./server.ts";

const database = testDatabase();

async function installed(schema: string): Promise<PostgresKeyStore> {
  const store = new PostgresKeyStore({ url: database.url, schema });
  expect(await store.init()).toBe(true);
  return store;
}

describe("the migrations", () => {
  it("succeed for each of twenty stores that find a database empty at once", async () => {
    const url = await createDatabase(inject("serverUrl"), `racing_${process.pid}`);
    const stores = Array.from({ length: 20 }, () => new PostgresKeyStore({ url, connectTimeoutMs: 25_000 }));
    try {
      const answers = await Promise.all(stores.map((store) => store.init()));
      expect(stores.map((store) => store.status.state)).toEqual(stores.map(() => "ready"));
      expect(answers).toEqual(stores.map(() => true));
      const sql = observer(url);
      expect(await sql`select name from holdfast.migration`).toEqual(Object.keys(MIGRATIONS).map((name) => ({ name })));
      await sql.end();
    } finally {
      await Promise.all(stores.map((store) => store.close()));
    }
  });

  it("leave nothing behind where one of them fails", async () => {
    const { sql } = database;
    await sql`create schema half`;
    // In the way of the last thing that the migration makes.
    await sql`create table half.record_by_name ()`;
    await using store = new PostgresKeyStore({ url: database.url, schema: "half" });
    expect(await store.init()).toBe(false);
    expect(store.status).toMatchObject({
      code: "ERR_KEY_STORE_CONFIG",
      reason: 'connecting: relation "record_by_name" already exists (42P07)',
    });
    const tables = await sql`select table_name from information_schema.tables where table_schema = 'half'`;
    expect(tables).toEqual([{ table_name: "record_by_name" }]);
    await sql`drop table half.record_by_name`;
    expect(await store.init()).toBe(true);
  });

  it("are known by their number in the stats", async () => {
    await using store = await installed("numbered");
    expect((await store.stats()).engine?.schemaVersion).toBe(SCHEMA_VERSION);
  });

  it("of a later version of this library are refused, and left alone", async () => {
    await using store = await installed("newer");
    await database.sql`insert into newer.migration values ('0999-of-the-future', ${new Date().toISOString()})`;
    expect(await store.init()).toBe(false);
    expect(store.status).toMatchObject({
      code: "ERR_KEY_STORE_SCHEMA_TOO_NEW",
      reason: `the schema newer is at version 999 (0999-of-the-future), and this library knows version ${SCHEMA_VERSION}: update it`,
    });
    expect(await database.sql`select name from newer.migration order by name`).toEqual(
      [...Object.keys(MIGRATIONS), "0999-of-the-future"].map((name) => ({ name })),
    );
  });

  it("bring a schema of the first version up to date, with what is in it", async () => {
    const before = await installed("first");
    const device = await before.openDevice(DEVICE);
    await device?.commit([{ type: "put", collection: "c", key: text("k"), value: text("v") }]);
    await before.close();
    const { sql } = database;
    await sql`alter table first.device drop column status, drop column move_id, drop column peer_kind,
      drop column peer_store, drop column lineage`;
    await sql`drop table first.store`;
    await sql`delete from first.migration where name > '0001-records'`;
    await using store = await installed("first");
    const again = await store.openDevice(DEVICE);
    expect([again?.revision, await again?.get("c", text("k"))]).toEqual([1n, text("v")]);
    expect(await store.listDevices()).toMatchObject([{ status: "active", records: 1 }]);
    expect((await store.stats()).engine).toMatchObject({ schemaVersion: SCHEMA_VERSION, storeId: expect.any(String) });
  });
});

describe("a schema", () => {
  it("may have any name, and two of them know nothing of each other", async () => {
    const names = ['quo"ted; -- Ünïcode', "plain"];
    const stores = await Promise.all(names.map(installed));
    for (const [i, store] of stores.entries()) {
      const device = await store.openDevice(DEVICE, { lease: "fail" });
      await device?.commit([{ type: "put", collection: "c", key: text("k"), value: text(`of ${i}`) }]);
    }
    for (const [i, store] of stores.entries()) {
      await store.close();
      await using again = await installed(names[i] ?? "");
      const device = await again.openDevice(DEVICE);
      expect(device?.revision).toBe(1n);
      expect(await device?.get("c", text("k"))).toEqual(text(`of ${i}`));
    }
  });

  it("shows its records to an operator by their names", async () => {
    await using store = await installed("shown");
    const device = await store.openDevice(DEVICE);
    await device?.commit([{ type: "put", collection: "olm_sessions", key: text("k"), value: text("value") }]);
    expect(await database.sql`select * from shown.record_by_name`).toEqual([
      {
        user_id: DEVICE.userId,
        device_id: DEVICE.deviceId,
        collection: "olm_sessions",
        key: Buffer.from("k"),
        value_bytes: 5,
        value: Buffer.from("value"),
      },
    ]);
  });
});
