import type { Middleware } from "./http/call.ts";
import { HttpServer } from "./http/server.ts";
import { accountRoutes } from "./routes/account-routes.ts";
import { emptyRoutes } from "./routes/empty-routes.ts";
import { keyRoutes } from "./routes/key-routes.ts";
import { roomRoutes } from "./routes/room-routes.ts";
import type { Services } from "./routes/services.ts";
import { syncRoutes } from "./routes/sync-routes.ts";
import { Accounts } from "./state/accounts.ts";
import { DeviceLists } from "./state/device-lists.ts";
import { Filters } from "./state/filters.ts";
import { Keys } from "./state/keys.ts";
import { Rooms } from "./state/rooms.ts";
import { Stream } from "./state/stream.ts";
import { Sync } from "./state/sync.ts";
import { ToDeviceMessages } from "./state/to-device.ts";
import { Transactions } from "./state/transactions.ts";

/** How a development homeserver is to be. */
export interface DevHomeserverOptions {
  /** What user and room ids end in. Default: `"localhost"`. */
  readonly serverName?: string | undefined;
  /** The port on 127.0.0.1. Default: 0, any that is free. */
  readonly port?: number | undefined;
  /** The most to-device messages in one sync response. Default: 100, as a real server has it. */
  readonly toDeviceLimit?: number | undefined;
}

/** A homeserver that runs. */
export interface DevHomeserver extends AsyncDisposable {
  /** Where it is: `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  readonly serverName: string;
  /** Puts a middleware outside those that are there; answers with what takes it away again. */
  use(middleware: Middleware): () => void;
  /** How many to-device messages wait for a device to acknowledge them. */
  toDeviceWaiting(userId: string, deviceId: string): number;
  /** Ends every connection and forgets everything. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a homeserver in this process: the parts of the Matrix Client-Server
 * API (v1.11) that encrypted rooms need, over real HTTP on the loopback
 * address. Everything is in memory and gone when it closes. It has a real
 * server's habits where they matter to keys, and its limits are these: one
 * server without federation, power levels not enforced, signatures not
 * verified. Not for use with anything that is worth keeping.
 */
export async function startDevHomeserver(options: DevHomeserverOptions = {}): Promise<DevHomeserver> {
  const serverName = options.serverName ?? "localhost";
  const services = servicesOf(serverName, options.toDeviceLimit ?? 100);
  const middleware = new Set<Middleware>();
  const server = new HttpServer({
    routes: [
      ...accountRoutes(services),
      ...keyRoutes(services),
      ...roomRoutes(services),
      ...syncRoutes(services),
      ...emptyRoutes(),
    ],
    authenticate: (token) => services.accounts.authenticate(token),
    middleware,
  });
  const url = await server.listen(options.port ?? 0);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= server.close();
    return closed;
  };
  return {
    url,
    serverName,
    use: (added) => {
      middleware.add(added);
      return () => void middleware.delete(added);
    },
    toDeviceWaiting: (userId, deviceId) => services.toDevice.waiting(userId, deviceId),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function servicesOf(serverName: string, toDeviceLimit: number): Services {
  const stream = new Stream();
  const accounts = new Accounts(serverName);
  const rooms = new Rooms(serverName, stream);
  const deviceLists = new DeviceLists(stream, rooms);
  const keys = new Keys(accounts, deviceLists);
  const toDevice = new ToDeviceMessages(accounts, stream);
  const sync = new Sync({ stream, rooms, keys, deviceLists, toDevice, toDeviceLimit });
  const [filters, transactions] = [new Filters(), new Transactions()];
  return { accounts, deviceLists, filters, keys, rooms, sync, toDevice, transactions };
}
