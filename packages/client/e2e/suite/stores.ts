import { randomUUID } from "node:crypto";
import { error, holdResponse } from "@holdfast/dev-homeserver/faults";
import { type DevPostgres, startPostgres, startTcpProxy } from "@holdfast/dev-postgres";
import type { KeyStoreCandidate } from "@holdfast/key-store-core";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { MatrixClientOptions } from "../../src/matrix-client-options.ts";
import { CUT_OFF, postgresAt } from "../../test/support/postgres-place.ts";
import { candidateOn } from "../programs/life.ts";
import { Child } from "../support/child.ts";
import { STORE_KEY, Stage } from "../support/stage.ts";
import type { There } from "./suite.ts";

export function storeSuite(there: There): void {
  let server: DevPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const postgres = (url: string): KeyStoreCandidate => postgresAt(url, CUT_OFF);
  const sqlite = (path: string): KeyStoreCandidate => ({
    name: "SQLite",
    create: async () => new SqliteKeyStore({ path }),
  });
  const kinds = [
    {
      name: "PostgreSQL",
      kind: "postgres",
      mode: "production",
      make: async () => postgres(await server.createDatabase()),
    },
    {
      name: "SQLite",
      kind: "sqlite",
      mode: "development",
      make: async (stage: Stage) => sqlite(`${stage.directory}/${randomUUID()}.sqlite`),
    },
  ];

  it.each(kinds)(
    "a password and $name are all it takes to be the same device after a restart, with refreshed tokens",
    async ({ kind, mode, make }) => {
      await using stage = await Stage.on(there());
      const [{ userId, password }, bob] = [await stage.user("alice"), await stage.device("bob")];
      const options: MatrixClientOptions = {
        homeserver: stage.homeserver.baseUrl,
        userId,
        password,
        key: STORE_KEY,
        keyStores: [await make(stage)],
        longPollMs: 5_000,
      };
      const { journal, faults } = stage.homeserver;
      const logins = () => journal.entries({ path: "/login", where: ({ body }) => body.password === password }).length;
      const first = stage.client(options);
      const sdk = await stage.sdk(bob);
      await stage.connect(first);
      const { deviceId, identity } = first.client;
      expect([first.client.mode, first.client.keyStoreAvailable]).toEqual([mode, true]);
      const roomId = await first.client.createRoom({ encrypted: true, invite: [sdk.credentials.userId] });
      await sdk.client.joinRoom(roomId);
      await sdk.say(roomId, "before", [{ userId }]);
      await first.until(() => first.bodies.includes("before"));
      // The homeserver says that the access token has ended: it is made new by the refresh token.
      const refreshes = () => journal.entries({ path: "/refresh" }).length;
      const before = refreshes();
      const ended = faults.next({ path: SEND, userId }, error(401, "M_UNKNOWN_TOKEN", { soft_logout: true }));
      await first.say(roomId, "by a new token");
      expect([ended.count, refreshes() - before]).toEqual([1, 1]);
      await sdk.reads("by a new token");
      await first.client.close();

      await sdk.say(roomId, "meanwhile");
      const again = stage.client(options);
      await again.client.connect();
      expect(again.client).toMatchObject({ deviceId, identity, mode });
      await again.until(() => again.bodies.includes("meanwhile"));
      await again.say(roomId, "after");
      await sdk.reads("after");
      expect(logins()).toBe(1);
      const { store, matrix } = await again.client.stats();
      expect([store?.status.state, store?.kind]).toEqual(["ready", kind]);
      expect(matrix?.inboundMegolmSessions).toBeGreaterThan(0);
      const secrets = [password, ...tokensIn(journal.entries({ path: /\/(login|refresh)$/ }))];
      expect([...first.log, ...again.log].filter((line) => secrets.some((secret) => line.includes(secret)))).toEqual(
        [],
      );
    },
  );

  it("a process that is killed on PostgreSQL is taken up by the next, once its lease has run out", async () => {
    await using stage = await Stage.on(there());
    const [device, other] = [await stage.device("alice"), await stage.device("bob")];
    const sdk = await stage.sdk(other);
    const roomId = await stage.room([other, device]);
    await sdk.knows(roomId, [device.credentials]);
    const storage = { kind: "postgres", url: await server.createDatabase() } as const;
    const child = new Child(stage, device, { storage });
    const connected = await child.connected();
    const fault = stage.homeserver.faults.next({ path: SEND, userId: device.credentials.userId }, holdResponse());
    const ask = { roomId, body: "once", transactionId: "the only one" };
    child.ask(ask);
    await child.unlessEnded(() => fault.fired());
    await child.kill();
    fault.remove();

    const again = await stage.ours(device, { keyStores: [candidateOn(storage)] });
    expect([again.client.mode, { told: "connected", ed25519: again.client.identity?.ed25519 }]).toEqual([
      "production",
      connected,
    ]);
    await again.client.sendText(roomId, ask.body, { transactionId: ask.transactionId });
    await again.say(roomId, "and on");
    await sdk.reads("and on");
    expect(sdk.bodies).toEqual(["once", "and on"]);
    await sdk.say(roomId, "heard");
    await again.until(() => again.bodies.includes("heard"));
  });

  it("PostgreSQL that is cut acknowledges nothing to the homeserver, and all is delivered when it is back", async () => {
    await using stage = await Stage.on(there());
    const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
    const proxy = await startTcpProxy({ target: server });
    stage.onEnd(async () => proxy[Symbol.asyncDispose]());
    const candidate = postgres(proxy.url(await server.createDatabase()));
    const [ours, sdk] = [await stage.ours(alice, { keyStores: [candidate] }), await stage.sdk(bob)];
    const { userId } = alice.credentials;
    const roomId = await stage.room([bob, alice]);
    await sdk.say(roomId, "before", [{ userId }]);
    await ours.until(() => ours.bodies.includes("before"));
    const { identity } = ours.client;

    await proxy.setMode("refuse");
    proxy.severAll();
    // A key that cannot be kept now.
    await sdk.crypto.forceDiscardSession(roomId);
    await sdk.say(roomId, "while it is away");
    await ours.until(() => ours.client.mode === "paused");
    const { journal } = stage.homeserver;
    const tokens = () => journal.entries({ path: "/sync", userId }).map(({ call }) => call.query.get("since"));
    const already = tokens().length;
    await expect(ours.say(roomId, "a secret")).rejects.toMatchObject({ code: "ENCRYPTION_UNAVAILABLE" });
    await expect.poll(() => tokens().length).toBeGreaterThan(already + 3);
    expect(new Set(tokens().slice(already)).size).toBe(1);
    expect(journal.events(roomId).filter(({ sender }) => sender === userId)).toEqual([]);

    await proxy.setMode("pass");
    await ours.until(() => ours.client.mode === "production");
    await ours.until(() => ours.bodies.includes("while it is away"));
    expect(ours.client.identity).toEqual(identity);
    await ours.say(roomId, "back");
    await sdk.reads("back");
    expect(ours.bodies).toEqual(["before", "while it is away"]);
    expect(ours.modes.map(({ mode }) => mode)).toEqual(["production", "paused", "production"]);
  });
}

const SEND = "/send/{eventType}/{txnId}";

/** The tokens that the homeserver gave. */
function tokensIn(entries: readonly { readonly outcome: unknown }[]): string[] {
  const found = JSON.stringify(entries.map(({ outcome }) => outcome)).matchAll(/"(?:access|refresh)_token":"([^"]+)"/g);
  return [...found].map(([, token]) => String(token));
}
