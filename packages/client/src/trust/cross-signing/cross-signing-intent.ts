import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import { signingKeysRequest } from "../../crypto/outgoing.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";
import { parseObject } from "../../http/json.ts";
import type { SealedCollection } from "../../records/sealed-collection.ts";
import { publicKeyOf } from "./published-identity.ts";

/** The private halves of a cross-signing identity, in unpadded base64. */
export interface PrivateKeys extends JsonObject {
  readonly master: string;
  readonly selfSigning: string;
  readonly userSigning: string;
}

/**
 * An identity that is about to be published. The engine drops its private keys
 * as soon as the homeserver shows another identity, as it does until the upload
 * has arrived: so they are kept here too until the identity is published.
 */
export interface CrossSigningIntent extends JsonObject {
  /** The body of the upload. */
  readonly upload: string;
  readonly privateKeys: PrivateKeys;
  /** The public master key that this identity replaces; `null` where there was none. Any other has come since. */
  readonly replaces: string | null;
}

/** Where the intent stands. */
const KEY = Buffer.from("cross-signing-intent");

/** Keeps the intent, sealed, in the device's store. */
export class CrossSigningIntents {
  readonly #encryption: Encryption;
  readonly #records: SealedCollection<CrossSigningIntent>;

  constructor(encryption: Encryption, collectionName: string) {
    this.#encryption = encryption;
    this.#records = encryption.collection<CrossSigningIntent>(collectionName);
  }

  get(): Promise<CrossSigningIntent | undefined> {
    return this.#records.get(KEY);
  }

  async drop(): Promise<void> {
    await this.#encryption.commit([this.#records.delete(KEY)]);
  }

  /** Makes a new identity, or takes the one that the engine has: durable in one commit with the intent to publish it. */
  make(replaces: string | undefined, identity: "new" | "existing"): Promise<CrossSigningIntent> {
    return this.#encryption.run(async (machine) => {
      const requests = await machine.bootstrapCrossSigning(identity === "new");
      const upload = signingKeysRequest(requests.uploadSigningKeysRequest).body;
      const privateKeys = await exportPrivateKeys(machine);
      if (privateKeys === undefined) throw new Error("the crypto engine made a cross-signing identity without keys");
      const intent: CrossSigningIntent = { upload, privateKeys, replaces: replaces ?? null };
      await this.#encryption.commit([this.#records.put(KEY, intent)]);
      return intent;
    });
  }
}

/** The public master key of the identity that is to be published. */
export function intendedMasterKey(intent: CrossSigningIntent): string {
  return publicKeyOf(parseObject(intent.upload)?.master_key);
}

/** All three private keys of the engine; `undefined` where one is missing. */
export async function exportPrivateKeys(machine: OlmMachine): Promise<PrivateKeys | undefined> {
  const keys = await machine.exportCrossSigningKeys();
  const { masterKey: master, self_signing_key: selfSigning, userSigningKey: userSigning } = keys ?? {};
  if (master === undefined || selfSigning === undefined || userSigning === undefined) return undefined;
  return { master, selfSigning, userSigning };
}
