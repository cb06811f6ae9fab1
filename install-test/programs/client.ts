import { keyStoreFromEnv, openOlmMachine } from "@holdfast/client";

/** Opens the crypto engine on the store that the environment asks for, and says who it is there. */
export async function main(): Promise<unknown> {
  const lines: string[] = [];
  const say = (line: unknown) => void lines.push(String(line));
  const logger = { debug() {}, info: say, warn: say, error: say };
  const store = await keyStoreFromEnv(process.env, { logger });
  const engine = await openOlmMachine({ ...store, userId: "@bot:example.org", deviceId: "BOT" });
  const identity = engine.machine.identityKeys.ed25519.toBase64();
  const { mode, keyStoreAvailable } = store;
  await engine.close();
  await store.keyStore.close();
  return { kind: store.keyStore.kind, mode, keyStoreAvailable, identity, lines };
}
