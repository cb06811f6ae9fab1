import { Faults } from "./faults/faults.ts";
import { Journal } from "./faults/journal.ts";
import type { Middleware } from "./http/call.ts";
import { HttpServer } from "./http/server.ts";
import { accountDataRoutes } from "./routes/account-data-routes.ts";
import { accountRoutes, registerUser } from "./routes/account-routes.ts";
import { backupRoutes } from "./routes/backup-routes.ts";
import { deviceRoutes } from "./routes/device-routes.ts";
import { eventRoutes } from "./routes/event-routes.ts";
import { historyRoutes } from "./routes/history-routes.ts";
import { keyRoutes } from "./routes/key-routes.ts";
import { mediaRoutes } from "./routes/media-routes.ts";
import { profileRoutes } from "./routes/profile-routes.ts";
import { roomRoutes } from "./routes/room-routes.ts";
import { serverRoutes } from "./routes/server-routes.ts";
import { stateRoutes } from "./routes/state-routes.ts";
import { syncRoutes } from "./routes/sync-routes.ts";
import { makeServices, type ServicesOptions } from "./services.ts";
import type { TestHomeserver } from "./test-homeserver.ts";

/** How a development homeserver is to be. */
export interface DevHomeserverOptions extends Partial<ServicesOptions> {
  /** The port on 127.0.0.1. Default: 0, any that is free. */
  readonly port?: number | undefined;
  /** How many calls the journal remembers. Default: 10,000; 0 is none. */
  readonly journalLimit?: number | undefined;
}

/** A homeserver that runs. */
export interface DevHomeserver extends TestHomeserver {
  readonly kind: "dev";
  /** The same as `baseUrl`. */
  readonly url: string;
  readonly serverName: string;
  /** Lets calls go wrong; the faults themselves are in `@holdfast/dev-homeserver/faults`. */
  readonly faults: Faults;
  /** What reached the server. */
  readonly journal: Journal;
  /** Closes every connection, those of syncs that wait too; new ones are taken. */
  cutConnections(): void;
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
    routes: [
      ...accountRoutes(services),
      ...accountDataRoutes(services),
      ...backupRoutes(services),
      ...deviceRoutes(services),
      ...eventRoutes(services),
      ...historyRoutes(services),
      ...keyRoutes(services),
      ...mediaRoutes(services),
      ...profileRoutes(services),
      ...roomRoutes(services),
      ...serverRoutes(() => url),
      ...stateRoutes(services),
      ...syncRoutes(services),
    ],
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
