import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Left, Play, Scenario } from "../scenario.ts";

/** The public halves of a user's cross-signing keys, from the request that publishes them. */
async function bootstrap(machine: OlmMachine, left: Left): Promise<string[]> {
  const { uploadSigningKeysRequest } = await machine.bootstrapCrossSigning(false);
  const keys = JSON.parse(left.leave(uploadSigningKeysRequest.body)) as Record<
    string,
    { keys: Record<string, string> }
  >;
  return ["master_key", "self_signing_key", "user_signing_key"].flatMap((name) => Object.keys(keys[name]?.keys ?? {}));
}

export const bootstrapCrossSigning: Scenario = {
  name: "making a cross-signing identity",
  commits: 1,
  begins: "acting",
  async prepare(stage) {
    await stage.withUs((us) => us.flush());
    return async (): Promise<Play> => {
      /** What the homeserver was given, in its order. */
      const published: string[][] = [];
      return {
        async act({ machine }, left) {
          published.push(await bootstrap(machine, left));
        },
        async found({ machine }) {
          const { hasMaster, hasSelfSigning, hasUserSigning } = await machine.crossSigningStatus();
          const parts = [hasMaster, hasSelfSigning, hasUserSigning];
          if (parts.includes(true) && parts.includes(false)) throw new Error(`a part of an identity: ${parts}`);
          return hasMaster ? "everything" : "nothing";
        },
        async outcome({ machine }, left) {
          const { hasMaster, hasSelfSigning, hasUserSigning } = await machine.crossSigningStatus();
          const now = await bootstrap(machine, left);
          const secrets = await machine.exportCrossSigningKeys();
          return {
            status: { hasMaster, hasSelfSigning, hasUserSigning },
            publishedKeys: now.length,
            others: published.filter((keys) => keys.join() !== now.join()),
            secrets: [secrets?.masterKey, secrets?.self_signing_key, secrets?.userSigningKey].map((key) => typeof key),
          };
        },
      };
    };
  },
};
