import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startTcpProxy, type TcpProxy } from "@holdfast/dev-postgres";
import type { DeviceStore } from "@holdfast/key-store-core";
import postgres from "postgres";
import { describe, expect, inject, it } from "vitest";
import { STAGE_BYTES } from "../src/changes.ts";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../src/index.ts";
import { acquired, changesOf, connected, DEVICE, newHolder, text } from "./driver.ts";
import { POOLED, testDatabase, until } from "./server.ts";

const database = testDatabase();

async function ready(options: PostgresKeyStoreOptions): Promise<PostgresKeyStore> {
  const store = new PostgresKeyStore(options);
  expect(await store.init()).toBe(true);
  return store;
}

async function opened(store: PostgresKeyStore, deviceId = "D"): Promise<DeviceStore> {
  const device = await store.openDevice({ ...DEVICE, deviceId });
  if (device === null) throw new Error("the store is not ready");
  return device;
}

function put(key: string, value: string | Uint8Array) {
  return {
    type: "put",
    collection: "c",
    key: text(key),
    value: typeof value === "string" ? text(value) : value,
  } as const;
}

function proxied(): Promise<TcpProxy> {
  return startTcpProxy({ target: { port: Number(new URL(database.url).port) } });
}

const sizes: [string, Uint8Array][] = [
  ["at once", text("x")],
  ["in stages", new Uint8Array(STAGE_BYTES + 1)],
];

describe("a connection that is lost", () => {
  for (const [how, ballast] of sizes) {
    it(`between a commit and its answer leaves the commit applied exactly once, ${how}`, async () => {
      await using proxy = await proxied();
      const url = proxy.url(database.url);
      await using store = await ready({ url, schema: `cut ${how}` });
      const device = await opened(store);
      await device.commit([put("k", "1")]);
      const marker = Buffer.from("MARKER").toString("hex");
      const cut = proxy.arm({ direction: "toServer", marker, damage: "lose-answer" });
      await device.commit([put("MARKER".repeat(4), ballast), { ...put("k", "2"), collection: "new" }]);
      await cut;
      expect(device.revision).toBe(2n);
      await device.commit([{ ...put("k", "3"), collection: "new" }]);
      expect(device.revision).toBe(3n);
      expect((await store.stats()).counters.retries).toBeLessThanOrEqual(4);
      await using other = await ready({ url: database.url, schema: `cut ${how}` });
      expect((await other.listDevices())[0]).toMatchObject({ revision: 3n, records: 3 });
    });
  }

  it("between a commit and its answer is told by a proxy that saw it", async () => {
    await using proxy = await proxied();
    const url = proxy.url(database.url);
    const driver = await connected({ url, schema: "seen" });
    try {
      const { device, guard } = await acquired(driver);
      const marker = text("MARKER");
      const sent = Buffer.from(marker).toString("hex");
      const cut = proxy.arm({ direction: "toServer", marker: sent, damage: "lose-answer" });
      const commit = device.commit(guard, [changesOf("c", { puts: [{ key: marker, value: text("v") }] })]);
      await expect(commit).rejects.toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE", retryable: true });
      await cut;
      expect(await device.settle(guard.holderId)).toMatchObject({ epoch: 2n, revision: 1n });
      const second = { ...guard, epoch: 2n, revision: 1n };
      expect(await device.commit(second, [changesOf("c", { puts: [{ key: marker, value: text("w") }] })])).toBe(true);
      expect(await device.getMany("c", [marker])).toEqual([text("w")]);
    } finally {
      await driver.disconnect();
    }
  });

  it("by order of the server is ridden out by reads and commits", async () => {
    await using store = await ready({ url: database.url, schema: "terminated", applicationName: "victim" });
    const device = await opened(store);
    for (let i = 1; i <= 5; i += 1) {
      await database.sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim'`;
      await device.commit([put("k", String(i))]);
      await database.sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim'`;
      expect(await device.count("c", { gte: text("a") })).toBe(1);
    }
    expect(device.revision).toBe(5n);
  });

  it("in the middle of a transaction ends no other, and sends nothing over the next one", async () => {
    const driver = await connected({ url: database.url, schema: "midst", applicationName: "midst", maxConnections: 1 });
    try {
      const { device, guard } = await acquired(driver);
      const { sql } = database;
      // The stage waits for this, behind its guard.
      const blocker = await sql.reserve();
      await blocker`begin`;
      await blocker`lock table midst.record in exclusive mode`;
      const puts = [{ key: text("k"), value: new Uint8Array(STAGE_BYTES + 1) }];
      const commit = device.commit(guard, [changesOf("c", { puts })]).catch((error) => error);
      const waiting = sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'midst' and wait_event_type = 'Lock'`;
      await until("the stage waits", async () => (await sql`${waiting}`).length > 0);
      expect(await commit).toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE" });
      await blocker`rollback`;
      blocker.release();
      expect(await device.settle(guard.holderId)).toMatchObject({ epoch: 2n, revision: 0n });
      expect(await device.count("c", { start: text(""), end: undefined })).toBe(0);
      expect(await device.commit({ ...guard, epoch: 2n }, [changesOf("c", { puts })])).toBe(true);
    } finally {
      await driver.disconnect();
    }
  });
});

describe("a writer that is killed", () => {
  const program = fileURLToPath(new URL("programs/write-until-killed.ts", import.meta.url));
  for (const [how, bytes] of [
    ["at once", 100],
    ["in stages", Math.ceil(STAGE_BYTES / 40)],
  ] as const) {
    it(`leaves its last commit whole, and every one that it was told of: ${how}`, async () => {
      let acknowledged = 0;
      for (let round = 0; round < 3; round += 1) {
        const child: ChildProcess = spawn(process.execPath, [program, database.url, String(bytes)], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        const exited = once(child, "exit");
        let output = "";
        const enough = Promise.withResolvers<void>();
        child.stdout?.on("data", (chunk) => {
          output += chunk;
          if (output.split("\n").length > 3 + round) enough.resolve();
        });
        await Promise.race([enough.promise, exited]);
        child.kill("SIGKILL");
        await exited;
        acknowledged = Number(output.trimEnd().split("\n").at(-1));
        await using store = await ready({ url: database.url, schema: "killed" });
        const device = await store.openDevice({ ...DEVICE, deviceId: "KILLED" }, { waitMs: 10_000 });
        if (device === null) throw new Error("the store is not ready");
        expect(Number(device.revision)).toBeGreaterThanOrEqual(acknowledged);
        expect(Number(device.revision)).toBeLessThanOrEqual(acknowledged + 1);
        const records = await device.list("c", {}, { limit: 1_000 });
        expect(records.length).toBe(50);
        const generation = Number(device.revision) % 256;
        expect(records.every(({ value }) => value.length === bytes && value.every((byte) => byte === generation))).toBe(
          true,
        );
        await device.close();
      }
      const left = await database.sql`select id from killed.device`;
      expect(left.length).toBe(1);
      await database.sql`truncate killed.device, killed.collection, killed.record`;
    });
  }
});

describe("a look after an uncertain commit", () => {
  it("waits for an attempt that still runs, and fences one that has not begun", async () => {
    const driver = await connected({ url: database.url, schema: "settled" });
    try {
      const { device, guard } = await acquired(driver);
      const { sql } = database;
      const blocker = await sql.reserve();
      await blocker`begin`;
      await blocker`select from settled.device for update`;
      const changes = [changesOf("c", { puts: [{ key: text("k"), value: text("v") }] })];
      const waiting = async (count: number) => {
        const rows = await sql`
          select from pg_stat_activity where application_name = 'holdfast' and wait_event_type = 'Lock'
          and datname = current_database()`;
        return rows.length === count;
      };
      const first = device.commit(guard, changes);
      await until("the attempt waits for the lock", () => waiting(1));
      const settled = device.settle(guard.holderId);
      await until("the look waits behind it", () => waiting(2));
      await blocker`rollback`;
      blocker.release();
      expect(await first).toBe(true);
      expect(await settled).toMatchObject({ epoch: 2n, revision: 1n, holder: { id: guard.holderId } });
      // A late copy of the attempt, and one for the revision that it has by now.
      expect(await device.commit(guard, changes)).toBe(false);
      expect(await device.commit({ ...guard, revision: 1n }, changes)).toBe(false);
      expect(await device.commit({ ...guard, epoch: 2n, revision: 1n }, changes)).toBe(true);
      expect(await device.state()).toMatchObject({ epoch: 2n, revision: 2n });
    } finally {
      await driver.disconnect();
    }
  });

  it("raises no epoch for a holder that has been fenced", async () => {
    const driver = await connected({ url: database.url, schema: "settled2" });
    try {
      const old = await acquired(driver);
      const now = await acquired(driver);
      expect(await old.device.settle(old.guard.holderId)).toEqual(await now.device.state());
      expect(await now.device.state()).toMatchObject({ epoch: 2n, revision: 0n, holder: { id: now.guard.holderId } });
    } finally {
      await driver.disconnect();
    }
  });
});

describe("a client that is there already", () => {
  for (const max of [1, 3]) {
    it(`serves, and is not ended, with ${max} connections`, async () => {
      const sql = postgres(database.url, { max, onnotice: () => {}, types: { bigint: postgres.BigInt } });
      try {
        const store = await ready({ sql, schema: `injected ${max}` });
        const device = await opened(store);
        await device.commit([put("k", "v"), put("large", new Uint8Array(STAGE_BYTES + 1))]);
        expect(await device.get("c", text("k"))).toEqual(text("v"));
        expect(await device.count("c", { gte: text("k"), lt: text("l") })).toBe(1);
        expect((await store.stats()).usage?.collections).toEqual([
          { collection: "c", records: 2, bytes: STAGE_BYTES + 8 },
        ]);
        await store.close();
        expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
      } finally {
        await sql.end();
      }
    });
  }

  for (const [how, ballast] of sizes) {
    it(`has every connection back once what ran late has ended, a commit ${how}`, async () => {
      const sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { application_name: "injected" } });
      const schema = `injected late ${how}`;
      try {
        await using store = await ready({ sql, schema, heartbeat: false, commitTimeoutMs: 900 });
        const device = await opened(store);
        const blocker = await database.sql.reserve();
        await blocker`begin`;
        await blocker`select from ${database.sql(schema)}.device for update`;
        await expect(device.commit([put("k", ballast)])).rejects.toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE" });
        await blocker`rollback`;
        blocker.release();
        expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
        expect(
          await database.sql`select state from pg_stat_activity where application_name = 'injected'
            and datname = current_database()`,
        ).toEqual([{ state: "idle" }]);
        expect(await store.init()).toBe(true);
      } finally {
        await sql.end({ timeout: 1 });
      }
    });
  }

  it("is ridden over a connection that it loses", async () => {
    const sql = postgres(database.url, { max: 2, onnotice: () => {}, connection: { application_name: "injected" } });
    try {
      await using store = await ready({ sql, schema: "injected lost" });
      const device = await opened(store);
      await database.sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'injected'`;
      await device.commit([put("k", "v")]);
      expect(device.revision).toBe(1n);
    } finally {
      // Without a limit, this client waits for the answers that its lost connection owes.
      await sql.end({ timeout: 1 });
    }
  });
});

/** The statements that the sessions of a program keep under a name. */
async function preparedStatements(url: string, preparedStatements: "auto" | boolean): Promise<number> {
  const driver = await connected({
    url,
    schema: "prepared",
    preparedStatements,
    maxConnections: 1,
    applicationName: POOLED,
  });
  const { device, guard } = await acquired(driver, newHolder());
  await database.sql`truncate prepared.record`;
  // The trigger tells of the session that it runs in.
  await database.sql.unsafe(`
    create table if not exists prepared.seen (names bigint);
    create or replace function prepared.look() returns trigger language plpgsql as
      $$ begin insert into prepared.seen select count(*) from pg_prepared_statements; return null; end $$;
    create or replace trigger look after insert on prepared.record for each row execute function prepared.look()`);
  for (let i = 0; i < 3; i += 1) {
    const next = { ...guard, revision: guard.revision + BigInt(i) };
    await device.commit(next, [changesOf("c", { puts: [{ key: Uint8Array.of(i), value: text("v") }] })]);
  }
  await driver.disconnect();
  const [row] =
    await database.sql`with seen as (delete from prepared.seen returning names) select max(names) from seen`;
  return Number(row?.max);
}

describe("prepared statements", () => {
  it("are kept by the server where the connection leads to it, unless they are switched off", async () => {
    expect(await preparedStatements(database.url, "auto")).toBeGreaterThan(0);
    expect(await preparedStatements(database.url, false)).toBe(0);
  });

  it.skipIf(inject("poolerPort") === undefined)("are not kept behind a pooler", async () => {
    expect(await preparedStatements(database.poolerUrl, "auto")).toBe(0);
  });
});
