import { startTcpProxy } from "@holdfast/dev-postgres";
import { describe, expect, it } from "vitest";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../src/index.ts";
import { acquired, connected, DEVICE, newHolder } from "./driver.ts";
import { testDatabase, until } from "./server.ts";

const database = testDatabase();

async function ready(options: Omit<PostgresKeyStoreOptions, "url">): Promise<PostgresKeyStore> {
  const store = new PostgresKeyStore({ url: database.url, applicationName: options.schema, ...options });
  expect(await store.init()).toBe(true);
  return store;
}

/** How many connections the store on a schema has by now. */
async function connectionsOf(schema: string): Promise<number> {
  const rows = await database.sql`select from pg_stat_activity where application_name = ${schema}`;
  return rows.length;
}

describe("a lease", () => {
  it("is one row per process, however many devices are open, and goes with the process", async () => {
    const store = await ready({ schema: "rows", label: "the bot" });
    for (const deviceId of ["A", "B", "C"]) await store.openDevice({ ...DEVICE, deviceId });
    const rows = await database.sql`select label, pid, expires_at > now() as in_force from rows.process`;
    expect(rows).toEqual([{ label: "the bot", pid: String(process.pid), in_force: true }]);
    expect((await store.stats()).usage?.leases.map(({ deviceId }) => deviceId)).toEqual(["A", "B", "C"]);
    await store.close();
    expect(await database.sql`select from rows.process`).toEqual([]);
  });

  it("is renewed by the heartbeat for as long as a device is open, and no longer", async () => {
    await using store = await ready({ schema: "beats", leaseMs: 300 });
    const device = await store.openDevice(DEVICE);
    const expiry = async () => {
      const [row] =
        await database.sql`select expires_at, expires_at > clock_timestamp() as in_force from beats.process`;
      return row as { expires_at: Date; in_force: boolean };
    };
    const first = await expiry();
    await until("two leases' time has passed", async () => {
      const { expires_at } = await expiry();
      return expires_at.getTime() - first.expires_at.getTime() > 600;
    });
    await device?.close();
    await until("the lease runs out once nothing is open", async () => !(await expiry()).in_force);
  });

  it("is kept in force while every connection is busy", async () => {
    await using store = await ready({ schema: "busy", leaseMs: 300, maxConnections: 1 });
    const device = await store.openDevice(DEVICE);
    const blocker = await database.sql.reserve();
    await blocker`begin`;
    await blocker`select from busy.device for update`;
    const commit = device?.commit([{ type: "put", collection: "c", key: new Uint8Array(), value: new Uint8Array() }]);
    const expiry = async () => (await database.sql`select expires_at from busy.process`)[0]?.expires_at as Date;
    const first = await expiry();
    await until("two leases' time has passed", async () => (await expiry()).getTime() - first.getTime() > 600);
    await blocker`rollback`;
    blocker.release();
    await commit;
    expect(device?.revision).toBe(1n);
    await until("the connection for the heartbeat is closed", async () => (await connectionsOf("busy")) === 1);
  });

  it("without a heartbeat runs out, is taken over, and fences its holder", async () => {
    await using store = await ready({ schema: "quiet", leaseMs: 60_000, heartbeat: false });
    await using other = await ready({ schema: "quiet", leaseMs: 60_000, heartbeat: false });
    const old = await store.openDevice(DEVICE);
    await expect(other.openDevice(DEVICE, { lease: "fail" })).rejects.toMatchObject({
      code: "ERR_KEY_STORE_LEASE_HELD",
    });
    const [{ limit } = { limit: 0 }] =
      await database.sql`select round(extract(epoch from expires_at - now())) as limit from quiet.process`;
    expect(Number(limit)).toBeGreaterThan(0);
    expect(Number(limit)).toBeLessThanOrEqual(60);
    // Its time passes at once.
    await database.sql`update quiet.process set expires_at = now()`;
    const device = await other.openDevice(DEVICE, { lease: "fail" });
    expect(device?.epoch).toBe(2n);
    const commit = old?.commit([{ type: "put", collection: "c", key: new Uint8Array(), value: new Uint8Array() }]);
    await expect(commit).rejects.toMatchObject({ code: "ERR_KEY_STORE_FENCED" });
  });

  it("of an opening that failed after it was taken does not keep its own process out", async () => {
    const driver = await connected({ url: database.url, schema: "orphan" });
    try {
      const first = await acquired(driver);
      // The answer to the release is lost before the server hears of it.
      await database.sql`create function orphan.refuse() returns trigger language plpgsql as
        $$ begin raise exception 'no' using errcode = '57014'; end $$`;
      await database.sql`create trigger refuse before update on orphan.device for each row execute function orphan.refuse()`;
      await expect(first.device.release(first.guard.holderId)).rejects.toMatchObject({
        code: "ERR_KEY_STORE_UNAVAILABLE",
      });
      await database.sql`drop trigger refuse on orphan.device`;
      const request = { device: DEVICE, holder: newHolder(), create: false, force: false };
      expect(await driver.acquire(request)).toMatchObject({ outcome: "acquired", epoch: 2n });
    } finally {
      await driver.disconnect();
    }
  });

  it("that could not be given back is given back later, though its process goes on with another device", async () => {
    await using store = await ready({ schema: "late", leaseMs: 600, operationTimeoutMs: 2_000 });
    const device = await store.openDevice(DEVICE);
    const kept = await store.openDevice({ ...DEVICE, deviceId: "KEPT" });
    await database.sql`create function late.refuse() returns trigger language plpgsql as
      $$ begin raise exception 'no' using errcode = '57014'; end $$`;
    await database.sql`create trigger refuse before update on late.device for each row execute function late.refuse()`;
    await device?.close();
    await database.sql`drop trigger refuse on late.device`;

    await using other = await ready({ schema: "late", leaseMs: 600 });
    expect((await other.openDevice(DEVICE, { waitMs: 10_000 }))?.epoch).toBe(2n);
    await kept?.commit([{ type: "put", collection: "c", key: new Uint8Array(), value: new Uint8Array() }]);
    expect(kept?.revision).toBe(1n);
  });

  it("of an opening whose answer was lost is given back, though its process goes on with another device", async () => {
    await using proxy = await startTcpProxy({ target: { port: Number(new URL(database.url).port) } });
    const options = { schema: "unheard", leaseMs: 600, preparedStatements: false };
    const driver = await connected({ ...options, url: proxy.url(database.url) });
    const other = await connected({ ...options, url: database.url });
    try {
      const kept = await acquired(driver, newHolder(), "KEPT");
      // As the statement that ends the transaction stands in the protocol, and nothing else does.
      const cut = proxy.arm({ direction: "toServer", marker: "\0commit\0", damage: "lose-answer" });
      await expect(acquired(driver)).rejects.toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE" });
      await cut;
      const holders = () => database.sql`select holder from unheard.device where device_id = ${DEVICE.deviceId}`;
      await until("the device was opened, and is given back", async () => (await holders())[0]?.holder === null);
      expect((await acquired(other)).epoch).toBe(2n);
      expect(await kept.device.commit(kept.guard, [])).toBe(true);
    } finally {
      await driver.disconnect();
      await other.disconnect();
    }
  });

  it("of a process that nobody knows any more is not in force, and rows of the dead are taken away", async () => {
    const driver = await connected({ url: database.url, schema: "dead" });
    await acquired(driver, newHolder("dead"));
    await database.sql`update dead.process set expires_at = now() - interval '2 hours'`;
    await driver.disconnect();
    const [old] = await database.sql`select label from dead.process`;
    expect(old).toEqual({ label: "dead" });
    const next = await connected({ url: database.url, schema: "dead" });
    const { device, guard, epoch } = await acquired(next, newHolder("next"));
    expect(epoch).toBe(2n);
    await device.release(guard.holderId);
    await next.disconnect();
    expect(await database.sql`select from dead.process`).toEqual([]);
  });
});
