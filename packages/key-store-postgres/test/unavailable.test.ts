import { execFile } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type DevPostgres, startPostgres } from "@holdfast/dev-postgres";
import type { KeyStoreErrorCode } from "@holdfast/key-store-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "../src/index.ts";
import { testDatabase } from "./server.ts";

const database = testDatabase();

/** The status of a store that must not become ready, which takes no longer than it may. */
async function unavailable(options: PostgresKeyStoreOptions): Promise<{ code: KeyStoreErrorCode; reason: string }> {
  const { connectTimeoutMs = 5_000 } = options;
  await using store = new PostgresKeyStore({ ...options, connectTimeoutMs });
  const began = performance.now();
  expect(await store.init()).toBe(false);
  // A busy machine gets to it late.
  expect(performance.now() - began).toBeLessThan(connectTimeoutMs + 10_000);
  const { status } = store;
  if (status.state !== "unavailable") throw new Error(`the store is ${status.state}`);
  expect(await store.openDevice({ userId: "@a:b.c", deviceId: "D" })).toBe(null);
  expect(await store.listDevices()).toEqual([]);
  return { code: status.code, reason: status.reason };
}

function changed(url: string, change: (url: URL) => void): string {
  const result = new URL(url);
  change(result);
  return result.href;
}

describe("a server that is not there", () => {
  it("is unavailable where nothing listens", async () => {
    const { code, reason } = await unavailable({ host: "127.0.0.1", port: 1 });
    expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    expect(reason).toBe("connecting: connect ECONNREFUSED 127.0.0.1:1 (ECONNREFUSED)");
  });

  it("is unavailable where a name is not known", async () => {
    const { code, reason } = await unavailable({ host: "nowhere.invalid" });
    expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    expect(reason).toMatch(/nowhere\.invalid \((ENOTFOUND|EAI_AGAIN)\)$/);
  });

  it("is unavailable where the socket file is missing", async () => {
    const { code, reason } = await unavailable({ host: "/nowhere" });
    expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    expect(reason).toBe("connecting: connect ENOENT /nowhere/.s.PGSQL.5432 (ENOENT)");
  });
});

describe("something else that listens", () => {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];

  async function listen(handler: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
      handler(socket);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  }

  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
  });

  for (const tls of [undefined, false, "require"] as const) {
    it(`is unavailable where it says nothing, with tls ${tls}`, async () => {
      const port = await listen((socket) => socket.resume());
      const { code, reason } = await unavailable({ host: "127.0.0.1", port, tls, connectTimeoutMs: 300 });
      expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
      expect(reason).toMatch(/within 300 ms|300 ms/);
      await expect.poll(() => sockets.size, { message: "no socket stays open" }).toBe(0);
    });
  }

  for (const tls of [undefined, false, "require"] as const) {
    it(`is unavailable where it hangs up at once, with tls ${tls}`, async () => {
      const port = await listen((socket) => socket.end());
      const { code, reason } = await unavailable({ host: "127.0.0.1", port, tls });
      expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
      expect(reason).toMatch(/CONNECTION_CLOSED|ECONNRESET|EPIPE/);
    });
  }

  for (const [state, expected] of [
    ["58000", "ERR_KEY_STORE_UNAVAILABLE"],
    ["XX000", "ERR_KEY_STORE_UNAVAILABLE"],
    ["53400", "ERR_KEY_STORE_UNAVAILABLE"],
    ["28P01", "ERR_KEY_STORE_CONFIG"],
  ] as const) {
    it(`is a pooler whose server is away or that lets nobody in, by its word ${state}`, async () => {
      const port = await listen((socket) =>
        socket.once("data", () => {
          const body = Buffer.from(`SFATAL\0C${state}\0Mno\0\0`);
          const length = Buffer.alloc(4);
          length.writeUInt32BE(body.byteLength + 4);
          socket.end(Buffer.concat([Buffer.from("E"), length, body]));
        }),
      );
      const { code, reason } = await unavailable({ host: "127.0.0.1", port, tls: false });
      expect(code).toBe(expected);
      expect(reason).toBe(`connecting: no (${state})`);
    });
  }

  it("is refused where it speaks another protocol", async () => {
    const port = await listen((socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
    const { code, reason } = await unavailable({ host: "127.0.0.1", port });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toBe("the server answers the request for TLS with something else");
  });

  it("does not keep a program alive that only looked", async () => {
    const port = await listen((socket) => socket.resume());
    const program = fileURLToPath(new URL("programs/look-and-end.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(port)], { timeout: 20_000 });
    expect(stdout).toBe("false\n");
  });
});

describe("a server that lets nobody in", () => {
  it("is refused with a wrong password, which is not told", async () => {
    const url = changed(database.url, (url) => {
      url.password = "hunter2-wrong";
    });
    const { code, reason } = await unavailable({ url });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toBe('connecting: password authentication failed for user "postgres" (28P01)');
  });

  it("is refused where the database is missing", async () => {
    const url = changed(database.url, (url) => {
      url.pathname = "/missing";
    });
    const { code, reason } = await unavailable({ url });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toBe('connecting: database "missing" does not exist (3D000)');
  });

  for (const tls of ["require", "verify-full", {}] as const) {
    it(`is refused where it has no TLS and tls is ${JSON.stringify(tls)}`, async () => {
      const { code, reason } = await unavailable({ url: database.url, tls });
      expect(code).toBe("ERR_KEY_STORE_CONFIG");
      expect(reason).toMatch(/^the server at 127\.0\.0\.1:\d+ refuses TLS, and sslmode is (require|verify-full)$/);
    });
  }

  it("is refused where the role may not make the schema", async () => {
    await database.sql`create role outsider login password 'outsider'`;
    const url = changed(database.url, (url) => {
      url.username = "outsider";
      url.password = "outsider";
    });
    const { code, reason } = await unavailable({ url, schema: "forbidden" });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toMatch(/^connecting: permission denied for database .* \(42501\)$/);
  });

  it("is refused where the role may not write the tables, and serves once it may", async () => {
    await using owner = new PostgresKeyStore({ url: database.url, schema: "granted" });
    expect(await owner.init()).toBe(true);
    await database.sql`create role reader login password 'reader'`;
    await database.sql`grant usage on schema granted to reader`;
    await database.sql`grant select on all tables in schema granted to reader`;
    const url = changed(database.url, (url) => {
      url.username = "reader";
      url.password = "reader";
    });
    const { code, reason } = await unavailable({ url, schema: "granted" });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toMatch(
      /^the role reader may not select, insert, update and delete in "granted"\.store, "granted"\.process, /,
    );

    await database.sql`grant insert, update, delete on all tables in schema granted to reader`;
    await using store = new PostgresKeyStore({ url, schema: "granted" });
    expect(await store.init()).toBe(true);
    const device = await store.openDevice({ userId: "@a:b.c", deviceId: "D" });
    await device?.commit([{ type: "put", collection: "c", key: new Uint8Array(), value: new Uint8Array(3) }]);
    expect(device?.revision).toBe(1n);
  });

  it("is refused where the database cannot hold every name", async () => {
    await database.sql`create database latin encoding 'LATIN1' locale 'C' template template0`;
    const url = changed(database.url, (url) => {
      url.pathname = "/latin";
    });
    const { code, reason } = await unavailable({ url });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toBe("the database's encoding is LATIN1: it must be UTF8");
  });

  it("is unavailable where transactions are read-only", async () => {
    await database.sql`create role readonly login superuser password 'readonly'`;
    await database.sql`alter role readonly set default_transaction_read_only = on`;
    const url = changed(database.url, (url) => {
      url.username = "readonly";
      url.password = "readonly";
    });
    const { code, reason } = await unavailable({ url });
    expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    expect(reason).toBe("the server takes no commits: transactions are read-only");
  });
});

describe("a server that may lose what it acknowledges", () => {
  let server: DevPostgres;
  beforeAll(async () => {
    server = await startPostgres({ settings: { fsync: "off" } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("is refused, unless that is asked for by name", async () => {
    const url = await server.createDatabase();
    const { code, reason } = await unavailable({ url });
    expect(code).toBe("ERR_KEY_STORE_CONFIG");
    expect(reason).toBe(
      'the server runs with fsync=off and may lose what it acknowledges; durability: "as-configured" allows it',
    );
    await using store = new PostgresKeyStore({ url, durability: "as-configured" });
    expect(await store.init()).toBe(true);
  });
});

describe("a server that comes and goes", () => {
  let server: DevPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("is unavailable while it is stopped, and its store goes on afterwards", async () => {
    await using store = new PostgresKeyStore({ url: server.url(), operationTimeoutMs: 2_000 });
    expect(await store.init()).toBe(true);
    const device = { userId: "@a:b.c", deviceId: "D" };
    const opened = await store.openDevice(device);
    await opened?.commit([{ type: "put", collection: "c", key: new Uint8Array(), value: new Uint8Array(3) }]);
    await opened?.close();
    await server.stop("immediate");
    await expect(store.listDevices()).rejects.toMatchObject({ code: "ERR_KEY_STORE_UNAVAILABLE" });
    expect(await store.init()).toBe(false);
    await server.start();
    expect(await store.init()).toBe(true);
    expect(await store.listDevices()).toEqual([
      { ...device, epoch: 1n, revision: 1n, holder: undefined, records: 1, bytes: 3, status: "active" },
    ]);
  });

  it("is unavailable as a standby", async () => {
    await server.stop();
    await using standby = await startPostgres({ standbyOf: server });
    const { code, reason } = await unavailable({ url: standby.url() });
    expect(code).toBe("ERR_KEY_STORE_UNAVAILABLE");
    expect(reason).toBe("the server is a standby, and takes no commits");
  });
});
