import { install, mount } from "@holdfast/indexeddb";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { createClient } from "matrix-js-sdk";

/** Starts the encryption of matrix-js-sdk on a SQLite file, and says who the device is there. */
export async function main(): Promise<unknown> {
  const keyStore = new SqliteKeyStore({ path: "keys.sqlite" });
  await keyStore.init();
  const login = { userId: "@bot:example.org", deviceId: "BOT" };
  const device = await keyStore.openDevice(login);
  if (device === null) throw new Error("the key store is not there");
  install();
  const mounted = mount("bot", device);
  // Nothing is sent: the engine is asked for what it has.
  const client = createClient({ ...login, baseUrl: "http://127.0.0.1:1", accessToken: "none" });
  await client.initRustCrypto({ useIndexedDB: true, cryptoDatabasePrefix: "bot", storageKey: new Uint8Array(32) });
  const keys = await client.getCrypto()?.getOwnDeviceKeys();
  client.stopClient();
  await mounted.unmount();
  await device.close();
  await keyStore.close();
  return { identity: keys?.ed25519 };
}
