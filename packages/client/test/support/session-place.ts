import { type DevHomeserver, type DevHomeserverOptions, startDevHomeserver } from "@holdfast/dev-homeserver";
import type { DeviceStore } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { createHomeserverApi } from "../../src/http/create-homeserver-api.ts";
import type { HomeserverApi } from "../../src/http/homeserver-api.ts";
import { openCollections } from "../../src/records/open-collections.ts";
import { type OpenSessionOptions, openSession } from "../../src/session/open-session.ts";
import { type SessionStore, sessionStore } from "../../src/session/session-store.ts";
import type { SessionTokens } from "../../src/session/session-tokens.ts";

export const USER = "@bot:localhost";
export const DEVICE = "BOTDEVICE";
export const PASSWORD = "correct horse";
const STORE_KEY = new Uint8Array(32).fill(7);

/** A device's store that is open, with its session. */
interface OpenPlace extends AsyncDisposable {
  readonly keyStore: MemoryKeyStore;
  readonly deviceStore: DeviceStore;
  readonly store: SessionStore;
}

/** A homeserver with one user, a storage that outlives the stores on it, and what arrived at the homeserver. */
export interface Place extends AsyncDisposable {
  readonly server: DevHomeserver;
  /** Each call as `POST /_matrix/client/v3/login`, in the order in which they came. */
  readonly calls: string[];
  keyStore(): Promise<MemoryKeyStore>;
  /** Opens the device's store, as a process that starts does. */
  open(deviceId?: string): Promise<OpenPlace>;
  /** Opens the user's session by password, unless told otherwise. */
  session(options?: Partial<OpenSessionOptions>): Promise<SessionTokens>;
  api(tokens: SessionTokens): HomeserverApi;
}

export async function makePlace(options: DevHomeserverOptions = {}): Promise<Place> {
  const server = await startDevHomeserver(options);
  await server.registerUser("bot", PASSWORD);
  const storage = new MemoryStorage();
  const calls: string[] = [];
  server.use((call, next) => {
    calls.push(`${call.method} ${call.path.replace("/_matrix/client/v3", "")}`);
    return next();
  });
  const keyStore = async () => {
    const opened = new MemoryKeyStore({ storage });
    await opened.init();
    return opened;
  };
  const http = { baseUrl: server.url, retry: { retries: 2, firstMs: 1, maxMs: 4 } };
  return {
    server,
    calls,
    keyStore,
    async open(deviceId = DEVICE) {
      const opened = await keyStore();
      const deviceStore = await opened.openDevice({ userId: USER, deviceId });
      if (deviceStore === null) throw new Error("a memory store is always there");
      const store = sessionStore(deviceStore, openCollections(deviceStore, STORE_KEY));
      return { keyStore: opened, deviceStore, store, [Symbol.asyncDispose]: () => opened.close() };
    },
    session: (changed = {}) =>
      openSession({
        ...http,
        userId: USER,
        deviceId: DEVICE,
        credentials: { type: "password", password: PASSWORD },
        ...changed,
      }),
    api: (tokens) => createHomeserverApi({ ...http, tokens }),
    [Symbol.asyncDispose]: () => server.close(),
  };
}
