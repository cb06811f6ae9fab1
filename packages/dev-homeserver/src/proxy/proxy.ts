import { Faults } from "../faults/faults.ts";
import { Journal } from "../faults/journal.ts";
import type { Call, Middleware } from "../http/call.ts";
import { HttpServer } from "../http/server.ts";
import { allRoutes } from "../routes/index.ts";
import { makeServices } from "../services.ts";
import type { Device } from "../state/accounts.ts";
import type { FaultyHomeserver, TestHomeserver } from "../test-homeserver.ts";
import { forward } from "./forward.ts";

const JOURNAL_LIMIT = 10_000;

/**
 * A homeserver with faults and a journal, whichever it is: one that has them
 * is given back as it is, another is reached through a proxy in this process.
 * Stopping it stops the other.
 */
export async function withFaults(server: TestHomeserver): Promise<FaultyHomeserver> {
  if (isFaulty(server)) return server;
  const [faults, journal] = [new Faults(), new Journal(JOURNAL_LIMIT)];
  const middleware = new Set<Middleware>([journal.middleware, faults.middleware]);
  const handle = (call: Call) => forward(server.baseUrl, call);
  // Of the routes only the patterns are of use here: by them calls are told apart.
  const patterns = allRoutes(makeServices({}), () => "");
  const proxy = new HttpServer({
    routes: patterns.map((route) => ({ ...route, access: "open", handle })),
    otherwise: handle,
    authenticate: owners(server.baseUrl),
    middleware,
  });
  const baseUrl = await proxy.listen(0);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= proxy.close().finally(() => server.stop());
    return stopped;
  };
  return {
    kind: server.kind,
    baseUrl,
    faults,
    journal,
    cutConnections: () => proxy.cutConnections(),
    registerUser: (localpart, password) => server.registerUser(localpart, password),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function isFaulty(server: TestHomeserver): server is FaultyHomeserver {
  return "faults" in server && "journal" in server;
}

/** Whose tokens they are, by the homeserver's own account; each is asked for once. */
function owners(baseUrl: string): (token: string) => Promise<Device | undefined> {
  const known = new Map<string, Device>();
  return async (token) => {
    const owner = known.get(token) ?? (await whoami(baseUrl, token));
    if (owner !== undefined) known.set(token, owner);
    return owner;
  };
}

async function whoami(baseUrl: string, token: string): Promise<Device | undefined> {
  const response = await fetch(`${baseUrl}/_matrix/client/v3/account/whoami`, {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!response.ok) return undefined;
  const { user_id: userId, device_id: deviceId } = (await response.json()) as Record<string, string>;
  return userId === undefined || deviceId === undefined ? undefined : { userId, deviceId, displayName: undefined };
}
