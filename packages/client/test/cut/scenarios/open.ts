import { RequestType } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OlmEngine } from "../../../src/index.ts";
import type { Play, Scenario } from "../scenario.ts";

/** Whether what the engine would publish is the identity that it says it has. */
async function publishes({ machine }: OlmEngine): Promise<boolean> {
  const upload = (await machine.outgoingRequests()).find(({ type }) => type === RequestType.KeysUpload);
  if (upload === undefined) throw new Error("there is nothing to publish");
  const { keys } = (JSON.parse(upload.body) as { device_keys: { keys: Record<string, string> } }).device_keys;
  const { deviceId, identityKeys } = machine;
  return (
    keys[`ed25519:${deviceId}`] === identityKeys.ed25519.toBase64() &&
    keys[`curve25519:${deviceId}`] === identityKeys.curve25519.toBase64()
  );
}

async function play(): Promise<Play> {
  return {
    async act() {},
    outcome: async (engine) => ({ publishesItsIdentity: await publishes(engine) }),
  };
}

export const openNewDevice: Scenario = {
  name: "opening a new device",
  commits: 1,
  begins: "opening",
  prepare: async () => play,
};

export const openKnownDevice: Scenario = {
  name: "opening a device again",
  commits: 0,
  begins: "opening",
  async prepare(stage) {
    await stage.withUs(async () => {});
    return play;
  },
};
