import type { BackupDecryptionKey } from "@matrix-org/matrix-sdk-crypto-wasm";
import * as v from "valibot";
import { MatrixClientError } from "../../errors.ts";
import type { HomeserverApi, JsonObject } from "../../http/homeserver-api.ts";
import { isHomeserverError } from "../../http/homeserver-error.ts";
import { path } from "../../http/path.ts";

/** The only algorithm that there is. */
const ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2";

const Version = v.object({
  version: v.string(),
  algorithm: v.string(),
  auth_data: v.looseObject({
    public_key: v.string(),
    private_key_salt: v.optional(v.string()),
    private_key_iterations: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(20_000_000))),
  }),
});

/** A version of a backup, as the homeserver describes it. What it holds is not to be trusted before it is verified. */
export type BackupVersion = v.InferOutput<typeof Version>;

/** What a new version is made from. */
export interface NewBackupVersion extends JsonObject {
  readonly algorithm: string;
  readonly auth_data: JsonObject;
}

/** The versions of a user's backup on the homeserver (Matrix specification, "Server-side key backups"). */
export class BackupVersions {
  readonly #api: HomeserverApi;

  constructor(api: HomeserverApi) {
    this.#api = api;
  }

  /**
   * The current version; `undefined` where the homeserver says that there is none.
   *
   * @throws `MatrixClientError` `MALFORMED` for one that this client cannot read; what requests throw
   */
  async current(signal?: AbortSignal): Promise<BackupVersion | undefined> {
    let answer: JsonObject;
    try {
      answer = await this.#api.request("GET", "/v3/room_keys/version", { signal });
    } catch (error) {
      if (isHomeserverError(error, "M_NOT_FOUND")) return undefined;
      throw error;
    }
    const parsed = v.safeParse(Version, answer);
    if (parsed.success && parsed.output.algorithm === ALGORITHM) return parsed.output;
    throw new MatrixClientError("MALFORMED", "the current version of the backup of room keys is of an unknown kind");
  }

  /** Makes a version, which is then the current one. Answers with its name. */
  async create(version: NewBackupVersion, signal?: AbortSignal): Promise<string> {
    const answer = await this.#api.request("POST", "/v3/room_keys/version", { body: version, signal });
    if (typeof answer.version === "string") return answer.version;
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver made a backup and did not say its version");
  }

  /** Deletes a version and all that is in it; one that is not there is deleted already. */
  async delete(version: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.#api.request("DELETE", path`/v3/room_keys/version/${version}`, { signal });
    } catch (error) {
      if (!isHomeserverError(error, "M_NOT_FOUND")) throw error;
    }
  }
}

/** Whether a key opens what is in a version. */
export function opensBackup(key: BackupDecryptionKey, { auth_data }: BackupVersion): boolean {
  return key.megolmV1PublicKey.publicKeyBase64 === auth_data.public_key;
}
