import { type Damage, type Direction, startTcpProxy, type TcpProxy } from "@holdfast/dev-postgres";
import type { DeviceStore } from "@holdfast/key-store-core";
import { describe, expect, it } from "vitest";
import { STAGE_BYTES } from "../src/changes.ts";
import { PostgresKeyStore } from "../src/index.ts";
import { DEVICE, text } from "./driver.ts";
import { testDatabase } from "./server.ts";

const database = testDatabase();

interface Bench extends AsyncDisposable {
  readonly proxy: TcpProxy;
  readonly device: DeviceStore;
  /** Commits the next number, and fails unless that has happened exactly once. */
  commit(): Promise<void>;
}

/** A device behind a proxy, with nothing else going over its connection. */
async function bench(schema: string, ballast: number, commitTimeoutMs = 30_000): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const proxy = stack.use(await startTcpProxy({ target: { port: Number(new URL(database.url).port) } }));
  const url = proxy.url(database.url);
  const options = { url, schema, maxConnections: 1, leaseMs: 600_000, commitTimeoutMs };
  const store = stack.use(new PostgresKeyStore(options));
  expect(await store.init()).toBe(true);
  const device = await store.openDevice(DEVICE);
  if (device === null) throw new Error("the store is not ready");
  let commits = 0n;
  const value = () => text(`${commits}`.padStart(Math.max(4, ballast), "."));
  return {
    proxy,
    device,
    async commit() {
      commits += 1n;
      await device.commit([{ type: "put", collection: "c", key: text("k"), value: value() }]);
      expect(device.revision).toBe(commits);
      const [row] = await database.sql`
        select d.revision, c.records, c.bytes, r.value
        from ${database.sql(schema)}.device d
        join ${database.sql(schema)}.collection c on c.device = d.id
        join ${database.sql(schema)}.record r on r.device = d.id`;
      expect([row?.revision, row?.records, row?.bytes]).toEqual([`${commits}`, "1", `${value().length + 1}`]);
      expect(Buffer.compare(row?.value, value())).toBe(0);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** How many bytes a commit takes, each way, once its statement is known to the server. */
async function trafficOf({ proxy, commit }: Bench): Promise<Record<Direction, number>> {
  await commit();
  await commit();
  const before = proxy.traffic;
  await commit();
  const { toServer, toClient } = proxy.traffic;
  return { toServer: toServer - before.toServer, toClient: toClient - before.toClient };
}

/** The first and the last bytes of a message, one by one, and some of those between. */
function points(bytes: number, step: number): number[] {
  const edge = (at: number) => at <= 6 || at >= bytes - 6 || at % step === 0;
  return Array.from({ length: bytes + 1 }, (_, at) => at).filter(edge);
}

describe("a commit is applied exactly once, though its connection", () => {
  const ways: readonly (readonly [Damage, Direction, number])[] = [
    ["cut", "toServer", 37],
    ["reset", "toServer", 59],
    ["cut", "toClient", 11],
    ["reset", "toClient", 17],
  ];
  for (const [damage, direction, step] of ways) {
    it(`is ${damage === "cut" ? "closed" : "reset"} at any byte ${direction === "toServer" ? "of the request" : "of the answer"}`, async () => {
      await using here = await bench(`${damage} ${direction}`, 0);
      const traffic = await trafficOf(here);
      expect(traffic[direction]).toBeGreaterThan(20);
      for (const afterBytes of points(traffic[direction], step)) {
        const happened = here.proxy.arm({ direction, afterBytes, damage });
        await here.commit();
        // With all bytes of an answer passed, it may be the next commit that meets it.
        await Promise.race([happened, here.commit()]);
        await happened;
        await here.commit();
      }
    }, 180_000);
  }

  for (const direction of ["toServer", "toClient"] as const) {
    it(`falls silent ${direction === "toServer" ? "within the request" : "before the answer"}`, async () => {
      await using here = await bench(`silent ${direction}`, 0, 3_000);
      const traffic = await trafficOf(here);
      // Not within the last message of a request: the server has carried it out by then, and waits for the end of the
      // transaction with the device locked until its own system tells it that the client is gone.
      for (const afterBytes of [0, 20, Math.floor(traffic[direction] / 2)]) {
        const happened = here.proxy.arm({ direction, afterBytes, damage: "silence" });
        await here.commit();
        await happened;
      }
      expect(here.proxy.accepted).toBeGreaterThanOrEqual(4);
    });
  }

  it("is closed within any part of a commit that goes in stages", async () => {
    await using here = await bench("staged", STAGE_BYTES + 1);
    const { toServer, toClient } = await trafficOf(here);
    expect(toServer).toBeGreaterThan(STAGE_BYTES);
    for (const afterBytes of [0, 60, 200, 5_000, 1_500_000, STAGE_BYTES, toServer - 40, toServer - 1, toServer]) {
      const happened = here.proxy.arm({ direction: "toServer", afterBytes });
      await here.commit();
      await Promise.race([happened, here.commit()]);
      await happened;
    }
    for (const afterBytes of [0, 30, toClient - 20, toClient - 1]) {
      const happened = here.proxy.arm({ direction: "toClient", afterBytes });
      await here.commit();
      await happened;
    }
    await here.commit();
  }, 180_000);
});
