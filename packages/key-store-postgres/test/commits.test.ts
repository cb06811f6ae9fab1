import type { CollectionChanges, DeviceDriver, Guard } from "@holdfast/key-store-core";
import fc from "fast-check";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STAGE_BYTES, sizeOf, stages } from "../src/changes.ts";
import { byteaArray } from "../src/codec.ts";
import type { PostgresDriver } from "../src/driver.ts";
import { statements } from "../src/sql.ts";
import { acquired, changesOf, connected, newHolder, text } from "./driver.ts";
import { testDatabase } from "./server.ts";

const database = testDatabase();
let driver: PostgresDriver;
beforeAll(async () => {
  driver = await connected({ url: database.url });
});
afterAll(() => driver.disconnect());

let devices = 0;
function newDevice() {
  devices += 1;
  return acquired(driver, newHolder(), `DEVICE${devices}`);
}

function put(collection: string, key: string, value: string | Uint8Array): CollectionChanges {
  const bytes = typeof value === "string" ? text(value) : value;
  return changesOf(collection, { puts: [{ key: text(key), value: bytes }] });
}

/** Rows of a device as the database has them. */
async function rowsOf(deviceId: string) {
  return database.sql`
    select d.epoch, d.revision, c.name, c.records, c.bytes, r.records as real_records, r.bytes as real_bytes
    from holdfast.device d
    left join holdfast.collection c on c.device = d.id
    left join lateral (
      select count(*) as records, coalesce(sum(length(key) + length(value)), 0) as bytes
      from holdfast.record where device = d.id and collection = c.id
    ) r on true
    where d.device_id = ${deviceId} order by c.name`;
}

describe("a commit whose guard does not fit", () => {
  const wrong: [string, (guard: Guard) => Guard][] = [
    ["another holder", (guard) => ({ ...guard, holderId: newHolder().id })],
    ["an older epoch", (guard) => ({ ...guard, epoch: guard.epoch - 1n })],
    ["a newer epoch", (guard) => ({ ...guard, epoch: guard.epoch + 1n })],
    ["an older revision", (guard) => ({ ...guard, revision: guard.revision - 1n })],
    ["a newer revision", (guard) => ({ ...guard, revision: guard.revision + 1n })],
  ];
  const sizes: [string, number][] = [
    ["at once", 10],
    ["in stages", STAGE_BYTES],
  ];
  for (const [what, change] of wrong) {
    for (const [how, bytes] of sizes) {
      it(`writes nothing: ${what}, ${how}`, async () => {
        const { device, guard } = await newDevice();
        expect(await device.commit(guard, [put("c", "k", "first")])).toBe(true);
        const now = { ...guard, revision: guard.revision + 1n };
        const deviceId = `DEVICE${devices}`;
        const before = await rowsOf(deviceId);
        const changes = [
          changesOf("c", { puts: [{ key: text("k2"), value: new Uint8Array(bytes) }], deletes: [text("k")] }),
          put("new", "k", "v"),
        ];
        expect(await device.commit(change(now), changes)).toBe(false);
        expect(await rowsOf(deviceId)).toEqual(before);
        expect(await device.commit(now, changes)).toBe(true);
      });
    }
  }
});

/** What a device holds, kept beside it. */
class Model {
  readonly collections = new Map<string, Map<string, Uint8Array>>();

  apply(changes: readonly CollectionChanges[]): void {
    for (const { collection, drop, removed, deletes, puts } of changes) {
      const records = this.collections.get(collection) ?? new Map<string, Uint8Array>();
      if (drop) records.clear();
      for (const { start, end } of removed) {
        for (const key of [...records.keys()]) {
          if (key >= hex(start) && (end === undefined || key < hex(end))) records.delete(key);
        }
      }
      for (const key of deletes) records.delete(hex(key));
      for (const { key, value } of puts) records.set(hex(key), value);
      if (drop) this.collections.delete(collection);
      else this.collections.set(collection, records);
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Disjoint changes to one collection, over few keys, so that they meet. */
const someChanges = fc
  .record({
    collection: fc.constantFrom("a", "b", "c"),
    drop: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    range: fc.option(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 10 }), fc.boolean())),
    keys: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.option(fc.uint8Array({ maxLength: 40 }))), {
      selector: ([key]) => key,
      maxLength: 12,
    }),
  })
  .map(({ collection, drop, range, keys }): CollectionChanges => {
    if (drop) return changesOf(collection, { drop });
    const after = range === null ? 0 : range[2] ? 256 : range[0] + range[1];
    const isRemoved = (key: number): boolean => range !== null && key >= range[0] && key < after;
    const rest = keys.filter(([key]) => !isRemoved(key));
    return changesOf(collection, {
      removed:
        range === null ? [] : [{ start: Uint8Array.of(range[0]), end: range[2] ? undefined : Uint8Array.of(after) }],
      deletes: rest.flatMap(([key, value]) => (value === null ? [Uint8Array.of(key)] : [])),
      puts: rest.flatMap(([key, value]) => (value === null ? [] : [{ key: Uint8Array.of(key), value }])),
    });
  });
const someCommit = fc.uniqueArray(someChanges, { selector: ({ collection }) => collection, maxLength: 3 });

describe("a commit in stages", () => {
  it("has parts of a bounded size, ranges among them, and does what it would do at once", async () => {
    const key = (n: number) => Uint8Array.from({ length: 400 }, (_, at) => (at < 2 ? (n >> (8 * (1 - at))) & 255 : 7));
    const after = (n: number) => Uint8Array.from([...key(n), 0]);
    const puts = Array.from({ length: 6_000 }, (_, n) => ({ key: key(2 * n), value: Uint8Array.of(n & 255) }));
    // What is left of everything when each of these keys is kept.
    const removed = puts.map((_, n) => ({ start: after(2 * n), end: puts[n + 1]?.key }));
    const changes = [changesOf("c", { puts, removed })];
    const parts = [...stages(changes)];
    expect(Math.max(...parts.map(sizeOf))).toBeLessThanOrEqual(1024 * 1024);
    expect(parts.flat().flatMap(({ removed: ranges }) => ranges)).toHaveLength(6_000);

    const { device, guard } = await newDevice();
    const old = [
      changesOf("c", {
        puts: [
          { key: key(2), value: text("old") },
          { key: key(3), value: text("gone") },
        ],
      }),
    ];
    expect(await device.commit(guard, old)).toBe(true);
    expect(await device.commit({ ...guard, revision: 1n }, changes)).toBe(true);
    expect(await device.count("c", { start: new Uint8Array(), end: undefined })).toBe(6_000);
    expect(await device.getMany("c", [key(2), key(3)])).toEqual([Uint8Array.of(1), undefined]);
  });
});

describe("the counters", () => {
  it("are what a scan finds, after any commits, at once and in stages", async () => {
    const ballast = new Uint8Array(STAGE_BYTES);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(someCommit, fc.integer({ min: 0, max: 5 })), { maxLength: 8 }),
        async (commits) => {
          const { device, guard } = await newDevice();
          const deviceId = `DEVICE${devices}`;
          const model = new Model();
          let { revision } = guard;
          for (const [commit, weight] of commits) {
            const changes = weight === 0 ? [...commit, put("ballast", String(revision), ballast)] : commit;
            expect(await device.commit({ ...guard, revision }, changes)).toBe(true);
            model.apply(changes);
            revision += 1n;
          }
          for (const row of await rowsOf(deviceId)) {
            expect(row.revision).toBe(String(revision));
            if (row.name === null) continue;
            expect([row.records, row.bytes]).toEqual([row.real_records, row.real_bytes]);
          }
          await expectRecords(device, model);
        },
      ),
      { numRuns: 40 },
    );
  }, 120_000);
});

async function expectRecords(device: DeviceDriver, model: Model): Promise<void> {
  for (const [collection, records] of model.collections) {
    const expected = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
    const all = { start: new Uint8Array(), end: undefined };
    const listed = await device.list(collection, all, { limit: 1_000 });
    expect(listed.map(({ key }) => hex(key))).toEqual(expected.map(([key]) => key));
    expect(listed.every(({ value }, i) => Buffer.compare(value, expected[i]?.[1] ?? text("?")) === 0)).toBe(true);
    expect(await device.count(collection, all)).toBe(expected.length);
  }
}

describe("a commit of 64 MiB", () => {
  it("is one commit, and takes memory for a stage only", async () => {
    const { device, guard } = await newDevice();
    const value = new Uint8Array(16 * 1024).fill(7);
    const puts = Array.from({ length: 4 * 1024 }, (_, i) => ({
      key: text(`key ${String(i).padStart(6, "0")}`),
      value,
    }));
    let most = 0;
    const before = process.memoryUsage().rss;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss - before);
    }, 5);
    try {
      expect(await device.commit(guard, [changesOf("big", { puts })])).toBe(true);
    } finally {
      clearInterval(watch);
    }
    expect(most).toBeLessThan(160 * 1024 * 1024);
    const [row] = await rowsOf(`DEVICE${devices}`);
    expect(row).toMatchObject({ revision: "1", records: "4096", real_records: "4096" });
    expect(row?.bytes).toBe(String(row?.real_bytes));
  }, 60_000);

  it("takes values of 16 MiB, each in a stage of its own", async () => {
    const { device, guard } = await newDevice();
    const puts = [1, 2, 3].map((i) => ({ key: Uint8Array.of(i), value: new Uint8Array(16 << 20).fill(i) }));
    expect(await device.commit(guard, [changesOf("big", { puts })])).toBe(true);
    const [value] = await device.getMany("big", [Uint8Array.of(3)]);
    expect(value?.byteLength).toBe(16 << 20);
    expect(value?.every((byte) => byte === 3)).toBe(true);
  }, 60_000);
});

describe("a durable commit", () => {
  it("waits for the disk though the database's setting does not, in one statement and in stages", async () => {
    const { sql } = database;
    const name = (await sql<{ name: string }[]>`select current_database() as name`)[0]?.name ?? "";
    await sql`alter database ${sql(name)} set synchronous_commit = off`;
    const weak = await connected({ url: database.url, schema: "durable" });
    const asConfigured = await connected({ url: database.url, schema: "durable", durability: "as-configured" });
    try {
      // Looks at the setting when the transaction commits: it is what counts.
      await sql`create table durable.seen (level text)`;
      await sql.unsafe(`
        create function durable.look() returns trigger language plpgsql as
          $$ begin insert into durable.seen values (current_setting('synchronous_commit')); return null; end $$;
        create constraint trigger look after update of revision on durable.device
          deferrable initially deferred for each row execute function durable.look()`);
      const seen = async () => (await sql`delete from durable.seen returning level`).map((row) => row.level);
      const strong = await acquired(weak);
      expect(await strong.device.commit(strong.guard, [put("c", "k", "v")])).toBe(true);
      expect(await seen()).toEqual(["on"]);
      const next = { ...strong.guard, revision: 1n };
      expect(await strong.device.commit(next, [put("c", "k", new Uint8Array(STAGE_BYTES))])).toBe(true);
      expect(await seen()).toEqual(["on"]);
      const other = await acquired(asConfigured, newHolder(), "AS-CONFIGURED");
      expect(await other.device.commit(other.guard, [put("c", "k", "v")])).toBe(true);
      expect(await seen()).toEqual(["off"]);
    } finally {
      await weak.disconnect();
      await asConfigured.disconnect();
      await sql`alter database ${sql(name)} reset synchronous_commit`;
    }
  });
});

describe("the plan of a commit on a table of 100,000 records", () => {
  const sql = statements("holdfast", true);
  let id = "";
  beforeAll(async () => {
    await newDevice();
    const deviceId = `DEVICE${devices}`;
    const rows = await database.sql`select id from holdfast.device where device_id = ${deviceId}`;
    id = rows[0]?.id;
    await database.sql`
      insert into holdfast.record
      select ${id}, 1 + i % 3, decode(lpad(to_hex(i), 8, '0'), 'hex'), '\\x00' from generate_series(1, 100000) i`;
    await database.sql`analyze holdfast.record`;
  });

  function parameters(keys: number) {
    const bytes = Array.from({ length: keys }, (_, i) => Buffer.from((i * 5).toString(16).padStart(8, "0"), "hex"));
    const ids = `{${bytes.map((_, i) => 1 + ((i * 5) % 3)).join()}}`;
    const array = byteaArray(bytes);
    const range = ["{1}", byteaArray([Uint8Array.of(0, 0)]), byteaArray([Uint8Array.of(0, 0, 1)])];
    const puts = [id, "nobody", "1", "0", ids, array, array, "{1}", '{"c"}', "{1}", "{1}"];
    return { puts, all: [...puts, ids, array, ...range, "{}"] };
  }

  const expected = { puts: ["Index Scan"], all: ["Index Scan", "Index Scan", "Index Scan", "Tid Scan"] };
  for (const kind of ["puts", "all"] as const) {
    for (const mode of ["force_generic_plan", "force_custom_plan"]) {
      for (const keys of [1, 20_000]) {
        it(`never reads the table as a whole: ${kind}, ${keys} keys, ${mode}`, async () => {
          const [row] = await database.sql.begin(async (transaction) => {
            await transaction.unsafe(`set local plan_cache_mode = ${mode}`);
            await transaction.unsafe(`prepare planned as ${sql.commit[kind]}`);
            const literals = parameters(keys)[kind].map((parameter) => `'${parameter.replaceAll("'", "''")}'`);
            const plan = await transaction.unsafe(`explain (format json) execute planned (${literals.join()})`);
            await transaction.unsafe("deallocate planned");
            return plan;
          });
          expect(scansOf(row?.["QUERY PLAN"], "record").sort()).toEqual(expected[kind]);
        });
      }
    }
  }
});

describe("a statement that the server keeps", () => {
  it("is planned once and for all, whatever the sizes of commits and reads", async () => {
    // One connection, so that these are the statements that it keeps: a client's own connection cannot be asked.
    const client = postgres(database.url, { max: 1, onnotice: () => {}, connection: { application_name: "planned" } });
    const driver = await connected({ sql: client, schema: "planned", preparedStatements: true });
    try {
      const { device, guard } = await acquired(driver);
      for (let n = 0; n < 24; n += 1) {
        const puts = Array.from({ length: 1 + (n % 5) * 10 }, (_, i) => ({ key: Uint8Array.of(i), value: text("v") }));
        const deletes = n % 2 === 0 ? [] : [Uint8Array.of(200)];
        const changes = [changesOf("c", { puts, deletes })];
        expect(await device.commit({ ...guard, revision: BigInt(n) }, changes)).toBe(true);
        expect(
          (
            await device.getMany(
              "c",
              puts.map(({ key }) => key),
            )
          ).length,
        ).toBe(puts.length);
      }
      const sql = statements("planned", true);
      const kept = await client<{ statement: string; generic: number; custom: number }[]>`
        select statement, generic_plans::int as generic, custom_plans::int as custom from pg_prepared_statements`;
      const plansOf = (statement: string) => kept.find((row) => row.statement === statement);
      // The server tries five plans of its own for the first five executions, and then decides.
      expect(plansOf(sql.commit.puts)).toMatchObject({ generic: 7, custom: 5 });
      expect(plansOf(sql.commit.all)).toMatchObject({ generic: 7, custom: 5 });
      expect(plansOf(sql.getMany)).toMatchObject({ generic: 19, custom: 5 });
    } finally {
      await driver.disconnect();
      await client.end();
    }
  });
});

/** How a plan reads a table. */
function scansOf(plan: unknown, table: string): string[] {
  if (typeof plan !== "object" || plan === null) return [];
  const node = plan as Record<string, unknown>;
  const type = String(node["Node Type"]);
  const own = node["Relation Name"] === table && type.endsWith("Scan") ? [type] : [];
  return [...own, ...Object.values(node).flatMap((value) => scansOf(value, table))];
}
