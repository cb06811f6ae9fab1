import { type DevPostgres, startPostgres, startTcpProxy, type TcpProxy } from "@holdfast/dev-postgres";
import type { DeviceStore, Logger } from "@holdfast/key-store-core";
import { beforeAll, describe, expect, it } from "vitest";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../src/index.ts";
import { DEVICE, text } from "./driver.ts";
import { observer, until } from "./server.ts";

/** The row of the device, as far as an opening would change it. */
async function rowOf(url: string): Promise<unknown> {
  const sql = observer(url);
  try {
    return [...(await sql`select epoch, revision, holder, process, lineage from holdfast.device`)];
  } finally {
    await sql.end();
  }
}

async function ready(options: PostgresKeyStoreOptions): Promise<PostgresKeyStore> {
  const store = new PostgresKeyStore(options);
  if (!(await store.init())) throw new Error(JSON.stringify(store.status));
  return store;
}

async function opened(store: PostgresKeyStore, acceptRollback = false): Promise<DeviceStore> {
  const device = await store.openDevice(DEVICE, { lease: "take-over", acceptRollback });
  if (device === null) throw new Error("the store is not ready");
  return device;
}

function put(value: string) {
  return [{ type: "put", collection: "c", key: text("k"), value: text(value) }] as const;
}

function warnings(): { readonly lines: string[]; readonly logger: Logger } {
  const lines: string[] = [];
  return { lines, logger: { debug() {}, info() {}, error() {}, warn: (line) => void lines.push(line) } };
}

/** A primary with a standby that has streamed everything so far, and a proxy that leads to the primary. */
async function pair(): Promise<AsyncDisposable & { primary: DevPostgres; standby: DevPostgres; proxy: TcpProxy }> {
  const stack = new AsyncDisposableStack();
  const primary = stack.use(await startPostgres());
  await primary.stop();
  const standby = stack.use(await startPostgres({ standbyOf: primary }));
  await primary.start();
  const proxy = stack.use(await startTcpProxy({ target: primary }));
  return { primary, standby, proxy, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Waits until the standby has everything that the primary has. */
async function caughtUp(primary: DevPostgres): Promise<void> {
  const sql = observer(primary.url());
  try {
    await until("the standby has everything", async () => {
      const rows = await sql`select from pg_stat_replication where replay_lsn >= pg_current_wal_lsn()`;
      return rows.length === 1;
    });
  } finally {
    await sql.end();
  }
}

describe("a failover to a replica that misses the last commits", () => {
  it("is detected by who lived through it, and by who comes later; nothing is written; an override is logged", async () => {
    await using servers = await pair();
    const { primary, standby, proxy } = servers;
    const { lines, logger } = warnings();
    await using store = await ready({ url: proxy.url(primary.url()), logger });
    const device = await opened(store);
    await device.commit(put("replicated"));
    await caughtUp(primary);
    await standby.stop();
    await device.commit(put("lost"));
    expect(device.revision).toBe(2n);
    await primary.stopImmediate();
    await standby.start();
    await standby.promote();
    proxy.retarget(standby);
    const before = await rowOf(standby.url());

    const failed = await device.commit(put("on top")).catch((error) => error);
    expect(failed).toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK", retryable: false });
    await device.close();
    const own = await opened(store).catch((error) => error);
    expect(own).toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    expect(own.message).toMatch(/revision 1 .*but revision 2 .*was acknowledged.*acceptRollback/);

    // Another process, which knows of no commit.
    await using later = await ready({ url: standby.url() });
    const refused = await opened(later).catch((error) => error);
    expect(refused).toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    expect(refused.message).toMatch(/\/00000002 .*was last whole in \d+\/00000001.*acceptRollback/);
    // But for the lease, which the first store gave back.
    const [row] = before as Record<string, unknown>[];
    const settled = (await rowOf(standby.url())) as Record<string, unknown>[];
    expect(settled).toEqual([{ ...row, holder: null, process: null, epoch: settled[0]?.epoch }]);

    expect(lines.filter((line) => line.includes("acceptRollback says"))).toEqual([]);
    const accepted = await opened(store, true);
    expect(await accepted.get("c", text("k"))).toEqual(text("replicated"));
    expect(lines.at(-1)).toMatch(/^Opened device .* all the same, as acceptRollback says/);
    await accepted.commit(put("anew"));
    await accepted.close();
    const next = await opened(later);
    expect(await next.get("c", text("k"))).toEqual(text("anew"));
  });
});

describe("a failover that lost nothing", () => {
  it("is gone through by who lived through it, who confirms it to all who come later", async () => {
    await using servers = await pair();
    const { primary, standby, proxy } = servers;
    await using store = await ready({ url: proxy.url(primary.url()), leaseMs: 300 });
    const device = await opened(store);
    await device.commit(put("before"));
    await caughtUp(primary);
    await primary.stopImmediate();
    await standby.promote();
    proxy.retarget(standby);
    await device.commit(put("after"));
    const sql = observer(standby.url());
    await until("the heartbeat confirms the device", async () => {
      const rows = await sql`select from holdfast.device where lineage like '%/00000002'`;
      return rows.length === 1;
    });
    await sql.end();
    await device.close();
    await using later = await ready({ url: standby.url() });
    const next = await opened(later);
    expect(await next.get("c", text("k"))).toEqual(text("after"));
  });

  it("cannot be told from another by who comes later: an operator says so, or the process that closed the device", async () => {
    await using servers = await pair();
    const { primary, standby, proxy } = servers;
    await using store = await ready({ url: proxy.url(primary.url()) });
    const device = await opened(store);
    await device.commit(put("before"));
    await device.close();
    await caughtUp(primary);
    await primary.stopImmediate();
    await standby.promote();
    proxy.retarget(standby);
    await using later = await ready({ url: standby.url() });
    await expect(opened(later)).rejects.toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    // Its row is what this process left: nothing is missing.
    const again = await opened(store);
    expect(await again.get("c", text("k"))).toEqual(text("before"));
    await again.close();

    const sql = observer(standby.url());
    await sql`update holdfast.device set lineage = 'another'`;
    await expect(opened(later)).rejects.toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });
    await sql`update holdfast.device set lineage = null`;
    await sql.end();
    expect(await (await opened(later)).get("c", text("k"))).toEqual(text("before"));
  });
});

describe("a backup that is restored into another cluster", () => {
  let server: DevPostgres;
  beforeAll(async () => {
    server = await startPostgres();
    return () => server[Symbol.asyncDispose]();
  });

  it("is detected by its system identifier, and never written to", async () => {
    await using other = await startPostgres();
    const url = await server.createDatabase();
    await using store = await ready({ url });
    const device = await opened(store);
    await device.commit(put("v"));
    await device.close();
    await (await ready({ url: other.url() })).close();
    // What pg_dump and pg_restore do, by row.
    const [from, to] = [observer(url), observer(other.url())];
    await to`alter table holdfast.device alter column id drop identity`;
    for (const table of ["device", "collection", "record"]) {
      const rows = await from`select * from holdfast.${from(table)}`;
      await to`insert into holdfast.${to(table)} ${to(rows)}`;
    }
    await Promise.all([from.end(), to.end()]);
    const before = await rowOf(other.url());
    await using restored = await ready({ url: other.url() });
    await expect(opened(restored)).rejects.toMatchObject({
      code: "ERR_KEY_STORE_ROLLBACK",
      message: expect.stringMatching(/restored into another cluster/),
    });
    expect(await rowOf(other.url())).toEqual(before);
    expect(await (await opened(restored, true)).get("c", text("k"))).toEqual(text("v"));
  });

  it("is not looked for where the role may not ask the server what it is", async () => {
    const url = await server.createDatabase();
    const admin = observer(url);
    await admin`create role ordinary login password 'p'`;
    await admin`grant create on database ${admin(new URL(url).pathname.slice(1))} to ordinary`;
    const mine = Object.assign(new URL(url), { username: "ordinary", password: "p" }).href;
    await using allowed = await ready({ url: mine });
    await (await opened(allowed)).close();
    expect(await rowOf(url)).toMatchObject([{ lineage: expect.stringMatching(/^\d+\/00000001$/) }]);
    await admin`revoke execute on function pg_control_system() from public`;
    await using denied = await ready({ url: mine });
    await (await opened(denied)).close();
    expect(await rowOf(url)).toMatchObject([{ lineage: null }]);
    await admin.end();
  });
});
