import type { Logger } from "@holdfast/key-store-core";
import * as v from "valibot";
import type { AccountData } from "./account-data.ts";
import { encodeRecoveryKey } from "./recovery-key.ts";
import { openSecret, SealedSecret, sealSecret } from "./secret-cipher.ts";

/** Names of secrets that Matrix defines. */
export type SecretName =
  | "m.cross_signing.master"
  | "m.cross_signing.self_signing"
  | "m.cross_signing.user_signing"
  | "m.megolm_backup.v1"
  | (string & {});

const Stored = v.object({ encrypted: v.record(v.string(), v.unknown()) });

/** Secret storage with one of its keys: secrets can be read and stored. */
export class OpenSecretStorage {
  readonly keyId: string;
  readonly #accountData: AccountData;
  // Private by `#`: neither JSON nor a log line of this object shows it.
  readonly #key: Uint8Array;
  readonly #logger: Logger;

  constructor(accountData: AccountData, keyId: string, key: Uint8Array, logger: Logger) {
    this.#accountData = accountData;
    this.keyId = keyId;
    this.#key = Uint8Array.from(key);
    this.#logger = logger;
  }

  /** The recovery key, to be shown to its user and to nobody else. */
  get recoveryKey(): string {
    return encodeRecoveryKey(this.#key);
  }

  /**
   * A secret; `undefined` where none is stored under this key.
   *
   * @throws `MatrixClientError` `WRONG_SECRET` where one is stored that this key does not open, and what requests throw
   */
  async get(name: SecretName, signal?: AbortSignal): Promise<string | undefined> {
    const content = await this.#accountData.get(name, signal);
    const stored = v.safeParse(Stored, content);
    const entry = stored.success ? stored.output.encrypted[this.keyId] : undefined;
    if (entry === undefined) return undefined;
    const sealed = v.safeParse(SealedSecret, entry);
    if (!sealed.success) {
      this.#logger.warn(`The secret ${name} in secret storage is malformed: it is taken for absent`);
      return undefined;
    }
    return openSecret(this.#key, name, sealed.output);
  }

  /** Stores a secret under this key, and under no other any more. */
  async set(name: SecretName, secret: string, signal?: AbortSignal): Promise<void> {
    await this.#accountData.put(
      name,
      { encrypted: { [this.keyId]: { ...sealSecret(this.#key, name, secret) } } },
      signal,
    );
  }
}
