import { randomBytes } from "node:crypto";
import { type Logger, silentLogger } from "@holdfast/key-store-core";
import * as v from "valibot";
import { MatrixClientError } from "../../errors.ts";
import type { HomeserverApi } from "../../http/homeserver-api.ts";
import { AccountData } from "./account-data.ts";
import { encodeBase64 } from "./base64.ts";
import { OpenSecretStorage } from "./open-secret-storage.ts";
import { decodeRecoveryKey, encodeRecoveryKey } from "./recovery-key.ts";
import { keyCheck, keyFromPassphrase, keyMatches, openSecret, SealedSecret } from "./secret-cipher.ts";

const ALGORITHM = "m.secret_storage.v1.aes-hmac-sha2";
const DEFAULT_KEY = "m.secret_storage.default_key";
const keyType = (keyId: string): string => `m.secret_storage.key.${keyId}`;

/** More rounds than any client asks for, and few enough to be counted through: the number comes from outside. */
const MAX_ITERATIONS = 20_000_000;
const ITERATIONS = 500_000;

const DefaultKey = v.object({ key: v.pipe(v.string(), v.nonEmpty()) });

const KeyDescription = v.object({
  algorithm: v.literal(ALGORITHM),
  name: v.optional(v.string()),
  iv: v.optional(v.string()),
  mac: v.optional(v.string()),
  passphrase: v.optional(
    v.object({
      algorithm: v.literal("m.pbkdf2"),
      salt: v.string(),
      iterations: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_ITERATIONS)),
      bits: v.optional(v.literal(256), 256),
    }),
  ),
});
type KeyDescription = v.InferOutput<typeof KeyDescription>;

/** What opens secret storage: the recovery key as it was shown, or the passphrase that the key was made from. */
export type StorageSecret =
  | { readonly recoveryKey: string; readonly passphrase?: undefined }
  | { readonly passphrase: string; readonly recoveryKey?: undefined };

/** How secret storage is made. */
export interface CreateSecretStorageOptions {
  /** A recovery key that its user has already, from {@link newRecoveryKey}. Default: a new one, random or from the passphrase. */
  readonly recoveryKey?: string | undefined;
  /** A passphrase that opens the storage as well as the recovery key does. Not together with `recoveryKey`. */
  readonly passphrase?: string | undefined;
  /** Shown by clients where they ask for the key. */
  readonly name?: string | undefined;
  /** Makes a new key the default although there is one; what is stored under the other is not copied. Default: `false`. */
  readonly replace?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A new random recovery key: given to `create`, its user holds it before anything depends on it. */
export function newRecoveryKey(): string {
  return encodeRecoveryKey(randomBytes(32));
}

/** What secret storage is made of. */
export interface SecretStorageOptions {
  readonly api: HomeserverApi;
  readonly userId: string;
  readonly logger?: Logger | undefined;
}

/**
 * An account's secret storage: secrets in its account data, sealed under keys
 * that the homeserver does not have (Matrix specification, "Secrets").
 */
export class SecretStorage {
  readonly #accountData: AccountData;
  readonly #logger: Logger;

  constructor(options: SecretStorageOptions) {
    this.#accountData = new AccountData(options.api, options.userId);
    this.#logger = options.logger ?? silentLogger;
  }

  /** The id of the default key; `undefined` where the account has no secret storage. */
  async defaultKeyId(signal?: AbortSignal): Promise<string | undefined> {
    const content = await this.#accountData.get(DEFAULT_KEY, signal);
    const parsed = v.safeParse(DefaultKey, content);
    return parsed.success ? parsed.output.key : undefined;
  }

  /**
   * Makes a key of secret storage and makes it the default one. Whoever must not
   * lose the key in a crash makes it first, with {@link newRecoveryKey}.
   *
   * @throws `MatrixClientError` `ALREADY_SET_UP` where there is a default key, unless `replace` is said;
   * `CONFIG` for both a recovery key and a passphrase, or an empty passphrase; `WRONG_SECRET` for a malformed recovery key
   */
  async create(options: CreateSecretStorageOptions = {}): Promise<OpenSecretStorage> {
    const { recoveryKey, passphrase, signal } = options;
    if (recoveryKey !== undefined && passphrase !== undefined) {
      throw new MatrixClientError(
        "CONFIG",
        "secret storage is made from a recovery key or from a passphrase, not both",
      );
    }
    if (passphrase === "") throw new MatrixClientError("CONFIG", "the passphrase of secret storage is empty");
    const given = recoveryKey === undefined ? undefined : decodeRecoveryKey(recoveryKey);
    if (!options.replace && (await this.defaultKeyId(signal)) !== undefined) {
      throw new MatrixClientError(
        "ALREADY_SET_UP",
        "this account has secret storage: open it with its recovery key, or say that it is to be replaced",
      );
    }
    const derivation = passphrase === undefined ? undefined : newDerivation();
    const key =
      passphrase === undefined || derivation === undefined
        ? (given ?? randomBytes(32))
        : await keyFromPassphrase(passphrase, derivation);
    const keyId = randomBytes(24).toString("base64url");
    await this.#accountData.put(
      keyType(keyId),
      {
        algorithm: ALGORITHM,
        ...keyCheck(key),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(derivation === undefined ? {} : { passphrase: { algorithm: "m.pbkdf2", ...derivation } }),
      },
      signal,
    );
    await this.#accountData.put(DEFAULT_KEY, { key: keyId }, signal);
    return new OpenSecretStorage(this.#accountData, keyId, key, this.#logger);
  }

  /**
   * Opens secret storage.
   *
   * @param options `keyId`: which key it is; default: the default one
   * @throws `MatrixClientError` `NOT_SET_UP` where there is no such key, or none that this client knows how to use;
   * `WRONG_SECRET` where the recovery key or the passphrase is not its
   */
  async open(
    secret: StorageSecret,
    options: { readonly keyId?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<OpenSecretStorage> {
    const { signal } = options;
    const keyId = options.keyId ?? (await this.defaultKeyId(signal));
    if (keyId === undefined) throw new MatrixClientError("NOT_SET_UP", "this account has no secret storage");
    const description = await this.#describe(keyId, signal);
    const key = await keyFrom(secret, description);
    await this.#check(keyId, key, description, signal);
    return new OpenSecretStorage(this.#accountData, keyId, key, this.#logger);
  }

  async #describe(keyId: string, signal: AbortSignal | undefined): Promise<KeyDescription> {
    const content = await this.#accountData.get(keyType(keyId), signal);
    const parsed = v.safeParse(KeyDescription, content);
    if (parsed.success) return parsed.output;
    const reason = content === undefined ? "is not there" : "is of a kind that this client does not know";
    throw new MatrixClientError("NOT_SET_UP", `the key of secret storage ${JSON.stringify(keyId)} ${reason}`);
  }

  async #check(
    keyId: string,
    key: Uint8Array,
    { iv, mac }: KeyDescription,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (iv !== undefined && mac !== undefined) {
      if (!keyMatches(key, { iv, mac })) throw wrongSecret();
      return;
    }
    // Keys without a check are allowed: what is stored under them is one.
    for (const name of ["m.cross_signing.master", "m.megolm_backup.v1"]) {
      const stored = await this.#accountData.get(name, signal);
      const sealed = v.safeParse(v.object({ encrypted: v.object({ [keyId]: SealedSecret }) }), stored);
      const entry = sealed.success ? sealed.output.encrypted[keyId] : undefined;
      if (entry === undefined) continue;
      openSecret(key, name, entry);
      return;
    }
  }
}

async function keyFrom(secret: StorageSecret, description: KeyDescription): Promise<Uint8Array> {
  if (secret.recoveryKey !== undefined) return decodeRecoveryKey(secret.recoveryKey);
  if (description.passphrase === undefined) {
    throw new MatrixClientError(
      "WRONG_SECRET",
      "this key of secret storage has no passphrase: its recovery key opens it",
    );
  }
  return keyFromPassphrase(secret.passphrase, description.passphrase);
}

function newDerivation(): { readonly salt: string; readonly iterations: number; readonly bits: number } {
  return { salt: encodeBase64(randomBytes(32)), iterations: ITERATIONS, bits: 256 };
}

function wrongSecret(): MatrixClientError {
  return new MatrixClientError("WRONG_SECRET", "this recovery key or passphrase does not open secret storage");
}
