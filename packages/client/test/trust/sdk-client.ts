import { ClientEvent, createClient, type MatrixClient, SyncState } from "matrix-js-sdk";
import type { CryptoApi, CryptoCallbacks } from "matrix-js-sdk/lib/crypto-api/index.js";
import type { Logger } from "matrix-js-sdk/lib/logger.js";
import { logIn, type User } from "./device.ts";

const nothing = (): void => {};
const silent: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  getChild: () => silent,
};

/** A client on matrix-js-sdk: the other party. */
export interface SdkClient extends Disposable {
  readonly client: MatrixClient;
  readonly crypto: CryptoApi;
  readonly user: User;
  readonly deviceId: string;
}

/** Logs a new device of a user in on matrix-js-sdk, with its crypto in memory. It does not sync before `startClient`. */
export async function newSdkClient(user: User, cryptoCallbacks: CryptoCallbacks = {}): Promise<SdkClient> {
  const { deviceId, accessToken } = await logIn(user);
  const baseUrl = user.homeserver.baseUrl;
  const client = createClient({ baseUrl, userId: user.userId, deviceId, accessToken, cryptoCallbacks, logger: silent });
  await client.initRustCrypto({ useIndexedDB: false });
  const crypto = client.getCrypto();
  if (crypto === undefined) throw new Error("matrix-js-sdk has no crypto");
  return { client, crypto, user, deviceId, [Symbol.dispose]: () => client.stopClient() };
}

/** Lets a client sync, and waits for the first sync and for the keys of its own account. */
export async function startSdk({ client, crypto, user }: SdkClient): Promise<void> {
  const synced = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => {
      if (state === SyncState.Prepared || state === SyncState.Syncing) resolve();
    });
  });
  await client.startClient({ initialSyncLimit: 1 });
  await synced;
  await crypto.userHasCrossSigningKeys(user.userId, true);
}
