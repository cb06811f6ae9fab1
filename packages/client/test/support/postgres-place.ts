import { type DevPostgres, startPostgres, startTcpProxy, type TcpProxy } from "@holdfast/dev-postgres";
import type { KeyStoreCandidate } from "@holdfast/key-store-core";
import { PostgresKeyStore, type PostgresKeyStoreOptions } from "@holdfast/key-store-postgres";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { World } from "./world.ts";

/** Where a test about PostgreSQL takes place. */
export interface PostgresPlace {
  readonly world: World;
  /** Leads to the server, unless it is told otherwise. */
  readonly proxy: TcpProxy;
  /** The address of the test's own database. */
  readonly url: string;
  /** Its address behind the proxy. */
  readonly proxied: string;
}

/** Starts a server for a test file, and gives each test a place of its own: tells of it before the test, and ends it afterwards. */
export function usePostgres(tell: (place: PostgresPlace) => void): void {
  let server: DevPostgres;
  let place: PostgresPlace;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => {
    const [world, proxy] = [await World.start(), await startTcpProxy({ target: server })];
    const url = await server.createDatabase();
    place = { world, proxy, url, proxied: proxy.url(url) };
    tell(place);
  });
  afterEach(async () => {
    await place.world[Symbol.asyncDispose]();
    await place.proxy[Symbol.asyncDispose]();
  });
}

/** A PostgreSQL store as clients take it. */
export function postgresAt(url: string, options: PostgresKeyStoreOptions = {}): KeyStoreCandidate {
  return { name: "PostgreSQL", create: async () => new PostgresKeyStore({ url, ...options }) };
}

/**
 * Options of a store that is cut off in the middle of a test: it is given up
 * soon, and not because the machine is busy, which is when one attempt of a
 * commit, with a third of the time, takes a second.
 */
export const CUT_OFF = { connectTimeoutMs: 20_000, commitTimeoutMs: 9_000, operationTimeoutMs: 9_000 } as const;
