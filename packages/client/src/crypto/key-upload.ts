import { KeyStoreError, type Logger } from "@holdfast/key-store-core";
import { type OlmMachine, type OutgoingRequest, RequestType } from "@matrix-org/matrix-sdk-crypto-wasm";
import { Mutex } from "async-mutex";
import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { type HomeserverError, isHomeserverError, rateLimit } from "../http/homeserver-error.ts";
import { numberOf, objectOf, parseObject } from "../http/json.ts";
import type { SealedCollection } from "../records/sealed-collection.ts";
import type { Encryption } from "./encryption.ts";
import { checkIdentity, type DeviceIdentity } from "./identity-guard.ts";
import { type EngineRequest, engineRequest, markAsSent } from "./outgoing.ts";
import { signedDeviceKeys } from "./signed-device-keys.ts";

/** What was about to be uploaded when this was written. */
interface UploadIntent extends JsonObject {
  /** Names of the one-time keys. */
  readonly oneTimeKeys: readonly string[];
  /** The homeserver has taken it, and the engine was not told yet: it has made another key meanwhile. */
  readonly taken?: true;
}

/** Where the intent stands in the client's collection. */
const INTENT = Buffer.from("key-upload");
/** Where it is written down that the homeserver showed our keys when they were read back. */
const CONFIRMED = Buffer.from("identity-confirmed");

/** Where it is written down when a fallback key was uploaded last, in milliseconds since 1970. */
const FALLBACK = Buffer.from("fallback-key");
/** The engine makes a new fallback key after a week; until then there is none to be overlooked. */
const FALLBACK_AGE_MS = 6 * 86_400_000;

/** What the upload of keys works on. */
export interface KeyUploadParts {
  readonly api: HomeserverApi;
  readonly encryption: Pick<Encryption, "run" | "commit" | "userId" | "deviceId">;
  /** The client's collection for single records. */
  readonly records: SealedCollection<JsonObject>;
  readonly identity: DeviceIdentity;
  readonly logger: Logger;
}

/**
 * Uploads the device's keys. The intent is durable before the request leaves,
 * because an upload whose answer is lost must not simply be repeated: the engine
 * would offer the same one-time keys again, and a homeserver takes identical
 * ones back although somebody has claimed them, so that two sessions would
 * begin with one key. After such an outcome the one-time keys are left out, and
 * the engine is told that they were uploaded: an unpublished key harms nobody.
 *
 * Nor is the engine told of an answer where a sync has had it make a new fallback
 * key meanwhile: it would take that for uploaded too (`mark_keys_as_published` of
 * matrix-sdk-crypto 0.19). The homeserver would go on giving the old one, which
 * the engine throws away at the next change, and with it what was sent to it.
 * First the new one is uploaded, by itself.
 */
export class KeyUpload {
  readonly #parts: KeyUploadParts;
  readonly #oneAtATime = new Mutex();
  /** Names of one-time keys that were uploaded here: a request made before the engine was told of it names them again. */
  #uploaded: ReadonlySet<string> = new Set();

  constructor(parts: KeyUploadParts) {
    this.#parts = parts;
  }

  /**
   * Sends an upload that the engine asked for.
   *
   * @throws `ERR_KEY_STORE_ROLLBACK` where the homeserver holds another one-time
   * key under a name that this store is about to use for the first time: the
   * store is older than what was uploaded; `IDENTITY_CONFLICT`; what
   * `HomeserverApi.request` and `Encryption.run` throw
   */
  send(request: EngineRequest, signal?: AbortSignal): Promise<void> {
    return this.#oneAtATime.runExclusive(() => this.#send(request, signal));
  }

  /**
   * Compares what the homeserver shows for this device with its identity, and
   * writes down that it showed the same. Where it has shown that once, and now
   * shows nothing, the device was logged out there: the keys are published
   * again, because the engine takes them for published.
   *
   * @throws `IDENTITY_CONFLICT`; `REQUEST_REFUSED` where the homeserver does not take the keys back;
   * what `HomeserverApi.request` and `Encryption.run` throw
   */
  check(signal?: AbortSignal): Promise<void> {
    return this.#oneAtATime.runExclusive(async () => {
      const shown = await this.#check(signal);
      const confirmed = (await this.#parts.records.get(CONFIRMED)) !== undefined;
      if (shown === "equal" && !confirmed) await this.#writeConfirmed();
      if (shown === "unknown" && confirmed) await this.#publishAgain(signal);
    });
  }

  async #publishAgain(signal: AbortSignal | undefined): Promise<void> {
    const { api, encryption, identity, logger } = this.#parts;
    logger.warn(
      "The homeserver has forgotten this device's keys, as after a logout there: they are published again; signatures of the device have to be made again",
    );
    const { userId, deviceId } = encryption;
    const device_keys = await encryption.run((machine) => signedDeviceKeys(machine, { userId, deviceId, identity }));
    try {
      await api.request("POST", "/v3/keys/upload", { body: { device_keys }, signal, retry: "safe" });
    } catch (error) {
      if (!isHomeserverError(error) || rateLimit(error) !== undefined) throw error;
      const message =
        "the homeserver has forgotten this device's keys, and does not take them back: log in as a new device";
      throw new MatrixClientError("REQUEST_REFUSED", message, { cause: error });
    }
  }

  async #send(request: EngineRequest, signal: AbortSignal | undefined): Promise<void> {
    const { records, encryption, logger } = this.#parts;
    const body = this.#withoutUploaded(parseObject(request.body) ?? {});
    const begun = (await records.get(INTENT)) as UploadIntent | undefined;
    if (begun?.taken === true) {
      await this.#upload(request, { fallback_keys: body.fallback_keys ?? {} }, signal);
    } else if (begun === undefined) {
      const intent: UploadIntent = { oneTimeKeys: Object.keys(objectOf(body.one_time_keys) ?? {}) };
      await encryption.commit([records.put(INTENT, intent)]);
      try {
        await this.#upload(request, body, signal);
      } catch (error) {
        // Refused is refused: nothing of it was taken, and the same keys may be offered again.
        if (isHomeserverError(error)) await encryption.commit([records.delete(INTENT)]);
        throw isHomeserverError(error) && saysKeyExists(error) ? rolledBack(error) : error;
      }
    } else {
      logger.info("An earlier upload of keys has an open outcome: uploading without its one-time keys");
      await this.#check(signal);
      const { one_time_keys: _, ...rest } = body;
      // Where this one is refused, the outcome of the earlier one is as open as before.
      await this.#upload(request, rest, signal);
    }
    await this.#confirm(signal);
  }

  #withoutUploaded(body: JsonObject): JsonObject {
    const keys = objectOf(body.one_time_keys);
    if (keys === undefined) return body;
    const fresh = Object.entries(keys).filter(([name]) => !this.#uploaded.has(name));
    return { ...body, one_time_keys: Object.fromEntries(fresh) };
  }

  async #upload(request: EngineRequest, body: JsonObject, signal: AbortSignal | undefined): Promise<void> {
    const { api, encryption, records } = this.#parts;
    const answer = await api.request("POST", "/v3/keys/upload", { body, signal, retry: "limits" });
    this.#uploaded = new Set(Object.keys(objectOf(parseObject(request.body)?.one_time_keys) ?? {}));
    const withFallback = hasFallback(body);
    const mayBeNew = !withFallback && (await this.#fallbackIsOld());
    await encryption.run(async (machine) => {
      if (mayBeNew && (await offersFallback(machine))) {
        const oneTimeKeys = Object.keys(objectOf(body.one_time_keys) ?? {});
        await encryption.commit([records.put(INTENT, { oneTimeKeys, taken: true } satisfies UploadIntent)]);
        return;
      }
      await markAsSent(machine, request, answer);
      const changes = withFallback ? [records.put(FALLBACK, { at: Date.now() })] : [];
      await encryption.commit([records.delete(INTENT), ...changes]);
    });
  }

  async #fallbackIsOld(): Promise<boolean> {
    const at = numberOf((await this.#parts.records.get(FALLBACK))?.at);
    return at === undefined || Math.abs(Date.now() - at) > FALLBACK_AGE_MS;
  }

  /** Reads our keys back after an upload, until that has succeeded once: another process may have uploaded others meanwhile. */
  async #confirm(signal: AbortSignal | undefined): Promise<void> {
    const { records, logger } = this.#parts;
    if ((await records.get(CONFIRMED)) !== undefined) return;
    if ((await this.#check(signal)) === "unknown") {
      logger.warn("The homeserver took this device's keys, and does not show them yet");
      return;
    }
    await this.#writeConfirmed();
  }

  async #writeConfirmed(): Promise<void> {
    const { encryption, records, identity } = this.#parts;
    await encryption.commit([records.put(CONFIRMED, { ...identity })]);
  }

  #check(signal: AbortSignal | undefined): Promise<"unknown" | "equal"> {
    const { api, encryption, identity } = this.#parts;
    return checkIdentity(api, { userId: encryption.userId, deviceId: encryption.deviceId, identity }, signal);
  }
}

/** Whether there is a fallback key to upload. */
async function offersFallback(machine: OlmMachine): Promise<boolean> {
  const requests = ((await machine.outgoingRequests()) as OutgoingRequest[]).map(engineRequest);
  return requests.some(({ type, body }) => type === RequestType.KeysUpload && hasFallback(parseObject(body) ?? {}));
}

function hasFallback(body: JsonObject): boolean {
  return Object.keys(objectOf(body.fallback_keys) ?? {}).length > 0;
}

/** How Synapse and others refuse a one-time key whose name is taken by another one. The specification has no errcode for it. */
function saysKeyExists({ status, body }: HomeserverError): boolean {
  return status === 400 && typeof body.error === "string" && /already exists/i.test(body.error);
}

function rolledBack(cause: unknown): KeyStoreError {
  const message =
    "the homeserver holds other one-time keys under the names that this key store would use next: the store is older than what this device has uploaded (restored from a backup?). Its sessions cannot be trusted: log in as a new device";
  return new KeyStoreError("ERR_KEY_STORE_ROLLBACK", message, { cause });
}
