import { keyStoreFromEnv } from "@holdfast/client";
import { install, mount } from "@holdfast/indexeddb";

/** Lets matrix-js-sdk keep a device's keys in the key store that the environment asks for. */
export async function keepKeys(userId: string, deviceId: string): Promise<{ storageKey: Uint8Array<ArrayBuffer> }> {
  // A bot that stands still says nothing: it tries for ten seconds, and is then better started again.
  const { keyStore, key } = await keyStoreFromEnv(process.env, { logger: console, commitTimeoutMs: 10_000 });
  if (key === undefined) throw new Error("KEY_STORE_KEY is missing: it encrypts what the SDK stores");
  const device = await keyStore.openDevice({ userId, deviceId });
  if (device === null) throw new Error("the key store is not there");
  install();
  // The SDK goes on after a failed write, and acknowledges what it has not kept: it is held still instead,
  mount("sdk", device, { onStoreFailure: "stall" });
  // and the process ends; what is durable is taken up at the next start.
  device.failed.addEventListener("abort", () => {
    console.error("the key store has failed:", device.failed.reason);
    process.exit(1);
  });
  process.once(
    "SIGTERM",
    () =>
      void device
        .close()
        .then(() => keyStore.close())
        .then(() => process.exit(0)),
  );
  return { storageKey: new Uint8Array(key) };
}
