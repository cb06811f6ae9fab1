/**
 * A process with one client in it. It loads everything first, so that it lives
 * as soon as it is told who it is to be.
 */
import { MatrixClient } from "@holdfast/client";
import { DriverKeyStore, type KeyStoreDriver, type Logger } from "@holdfast/key-store-core";
import { initAsync } from "@matrix-org/matrix-sdk-crypto-wasm";
import { PostgresDriver } from "../../../packages/key-store-postgres/src/driver.ts";
import { postgresPlan } from "../../../packages/key-store-postgres/src/options.ts";
import { SqliteDriver } from "../../../packages/key-store-sqlite/src/driver.ts";
import { type Life, type Order, POKE, type Storage } from "../protocol.ts";
import { tell } from "./channel.ts";
import { Deaths } from "./deaths.ts";
import { ChaosDriver } from "./driver.ts";
import { logEngine } from "./engine-log.ts";
import { Talk } from "./talk.ts";

/** Short, so that a round is: what is ridden out and what is not both come about. */
const LIMITS = { connectTimeoutMs: 1_500, operationTimeoutMs: 2_500, commitTimeoutMs: 2_500 };
const LEASE_MS = 1_500;

const deaths = new Deaths();
let driver: ChaosDriver | undefined;
let client: MatrixClient | undefined;
let talk: Talk | undefined;

function driverOf(storage: Storage): KeyStoreDriver {
  if (storage.kind === "sqlite") {
    return new SqliteDriver({ path: storage.path, leaseMs: LEASE_MS, busyTimeoutMs: 250, ...LIMITS });
  }
  return new PostgresDriver(postgresPlan({ url: storage.url, leaseMs: LEASE_MS, maxConnections: 2, ...LIMITS }));
}

async function live(life: Life): Promise<void> {
  deaths.arm(life.death);
  const line = (level: string) => (message: string) => {
    console.log(`${new Date().toISOString()} ${process.pid} ${life.signature} ${level} ${message}`);
  };
  const logger: Logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  logEngine(logger);
  const chaos = new ChaosDriver(driverOf(life.storage), deaths);
  driver = chaos;
  const me = new MatrixClient({
    homeserver: life.homeserver,
    accessToken: life.accessToken,
    key: new Uint8Array(32).fill(7),
    keyStores: [{ name: chaos.name, create: async () => new DriverKeyStore(chaos, { ...LIMITS, logger }) }],
    onUnavailable: "wait",
    lease: life.lease,
    logger,
    longPollMs: 5_000,
    awayPauseMs: 100,
    probe: { firstMs: 50, longestMs: 400 },
    handlerAttempts: 1_000,
    // A member that was down for a while must not find that more was said than it may fetch.
    gapLimit: 1_000_000,
  });
  client = me;
  me.on("message", async ({ eventId, content }) => {
    deaths.at("handler begins");
    await new Promise((resolve) => setImmediate(resolve));
    tell({ told: "handled", eventId, text: String(content.body) });
    deaths.at("handler ends");
  });
  me.on("toDevice", async ({ type, content, encrypted }) => {
    deaths.at("handler begins");
    if (type === POKE && encrypted) tell({ told: "handled to-device", id: String(content.id) });
    deaths.at("handler ends");
  });
  me.on("undecryptable", async ({ eventId, code }) => tell({ told: "undecryptable", eventId, code }));
  me.on("error", async ({ doing, error }) => tell({ told: "error", doing, message: String(error) }));
  me.on("mode", async ({ mode, reason = "", error }) => {
    const code = String((error as { code?: unknown } | undefined)?.code ?? "");
    tell({ told: "mode", mode, reason, code });
    if (me.identity !== undefined) tell({ told: "identity", ed25519: me.identity.ed25519 });
  });
  await me.connect();
  tell({ told: "connected" });
  talk = new Talk(me, life);
  talk.begin();
}

async function obey(order: Order): Promise<void> {
  switch (order.order) {
    case "live":
      return live(order.life);
    case "die at":
      return deaths.arm(order.death);
    case "delay commit":
      return driver?.delayNextCommit();
    case "refuse commit":
      return driver?.refuseNextCommit();
    case "hush":
      await talk?.end();
      return tell({ told: "hushed" });
    case "talk":
      return talk?.begin();
    case "close":
      await talk?.end();
      await client?.close();
      return process.disconnect();
  }
}

process.on("message", (order: Order) => {
  obey(order).catch((error: unknown) => {
    // What a client cannot start for is the end of its program.
    console.log(error);
    process.exit(1);
  });
});
// Whoever is left without its parent has nobody to tell.
process.on("disconnect", () => process.exit(0));

await initAsync();
tell({ told: "loaded" });
