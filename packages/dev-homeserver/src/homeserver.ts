import { Faults } from "./faults/faults.ts";
import { Journal } from "./faults/journal.ts";
import type { Middleware } from "./http/call.ts";
import { HttpServer } from "./http/server.ts";
import { registerUser } from "./routes/account-routes.ts";
import { allRoutes } from "./routes/index.ts";
import { makeServices, type ServicesOptions } from "./services.ts";
import type { FaultyHomeserver } from "./test-homeserver.ts";

/** How a development homeserver is to be. */
export interface DevHomeserverOptions extends Partial<ServicesOptions> {
  /** The port on 127.0.0.1. Default: 0, any that is free. */
  readonly port?: number | undefined;
  /** How many calls the journal remembers. Default: 10,000; 0 is none. */
  readonly journalLimit?: number | undefined;
}

/** A homeserver that runs. */
export interface DevHomeserver extends FaultyHomeserver {
  readonly kind: "dev";
  /** The same as `baseUrl`. */
  readonly url: string;
  readonly serverName: string;
  /** Puts a middleware outside those that are there; answers with what takes it away again. */
  use(middleware: Middleware): () => void;
  /** How many to-device messages wait for a device to acknowledge them. */
  toDeviceWaiting(userId: string, deviceId: string): number;
  /** Lets the access tokens of a device expire now, which its refresh tokens outlive. */
  expireAccessTokens(userId: string, deviceId: string): void;
  /** A token that logs a user in once, by `m.login.token`. */
  loginToken(userId: string): string;
  /** Ends every connection and forgets everything. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a homeserver in this process: the parts of the Matrix Client-Server
 * API (v1.11) that a client with encrypted rooms needs, over real HTTP on the
 * loopback address. Everything is in memory and gone when it closes. It has a
 * real server's habits where they matter to clients, and its limits are these:
 * one server without federation, signatures not verified. Not for use with
 * anything that is worth keeping.
 */
export async function startDevHomeserver(options: DevHomeserverOptions = {}): Promise<DevHomeserver> {
  const services = makeServices(options);
  const faults = new Faults();
  const journal = new Journal(options.journalLimit ?? 10_000);
  // The journal is innermost: what a fault keeps away has not reached the server.
  const middleware = new Set<Middleware>([journal.middleware, faults.middleware]);
  let url = "";
  const server = new HttpServer({
    routes: allRoutes(services, () => url),
    authenticate: (token) => services.sessions.authenticate(token),
    middleware,
  });
  url = await server.listen(options.port ?? 0);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= server.close();
    return closed;
  };
  return {
    kind: "dev",
    url,
    baseUrl: url,
    serverName: services.serverName,
    faults,
    journal,
    cutConnections: () => server.cutConnections(),
    use: (added) => {
      middleware.add(added);
      return () => void middleware.delete(added);
    },
    registerUser: async (localpart, password) => ({ userId: registerUser(services, localpart, password) }),
    toDeviceWaiting: (userId, deviceId) => services.toDevice.waiting(userId, deviceId),
    expireAccessTokens: (userId, deviceId) => {
      const device = services.accounts.device(userId, deviceId);
      if (device !== undefined) services.sessions.expire(device);
    },
    loginToken: (userId) => services.sessions.loginToken(userId),
    close,
    stop: close,
    [Symbol.asyncDispose]: close,
  };
}
