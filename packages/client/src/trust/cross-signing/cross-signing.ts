import { type Logger, silentLogger } from "@holdfast/key-store-core";
import { DeviceId, type OlmMachine, OwnUserIdentity, RequestType, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { Mutex } from "async-mutex";
import type { Encryption } from "../../crypto/encryption.ts";
import { type EngineRequest, engineRequest } from "../../crypto/outgoing.ts";
import { MatrixClientError } from "../../errors.ts";
import type { HomeserverApi, JsonObject } from "../../http/homeserver-api.ts";
import { parseObject } from "../../http/json.ts";
import type { OpenSecretStorage } from "../secrets/open-secret-storage.ts";
import {
  type CrossSigningIntent,
  CrossSigningIntents,
  exportPrivateKeys,
  intendedMasterKey,
  type PrivateKeys,
} from "./cross-signing-intent.ts";
import { type PublishedIdentity, publicKeyOf, publishedIdentity } from "./published-identity.ts";
import { SignedBy } from "./signed-by.ts";
import { readStoredKeys, storeKeys } from "./stored-keys.ts";
import { requestWithAuth, type UserAuth } from "./user-interactive-auth.ts";

/** In place of a master key: of an identity that another device has signed this one with. */
const UNNAMED = "unnamed";

/** How cross-signing is set up. */
export interface BootstrapOptions extends UserAuth {
  /** Secret storage, opened: private keys are taken from there, and put there. */
  readonly storage?: OpenSecretStorage | undefined;
  /**
   * Makes a new identity although the account has one. Everybody who verified
   * the account has to do so again. Default: `false`.
   */
  readonly reset?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What setting up has done: nothing, because all was there; `"completed"` what an
 * earlier call had begun, or signed this device; `"imported"` the private keys
 * from secret storage; `"created"` and published an identity.
 */
export type BootstrapOutcome = "unchanged" | "completed" | "imported" | "created";

/** How this device stands in its account's cross-signing. */
export interface CrossSigningStatus {
  /** Whether the homeserver shows an identity of the account. */
  readonly published: boolean;
  /** Whether this device has all its private keys. */
  readonly privateKeys: boolean;
  /** Whether this device is signed by it: clients that exclude unsigned devices share keys with it. */
  readonly deviceSigned: boolean;
}

/** What cross-signing works on. */
export interface CrossSigningParts {
  readonly api: HomeserverApi;
  readonly encryption: Encryption;
  readonly logger?: Logger | undefined;
}

interface Look extends PublishedIdentity, CrossSigningStatus {}

/** The account's cross-signing identity, and this device's place in it (Matrix specification, "Cross-signing"). */
export class CrossSigning {
  readonly #api: HomeserverApi;
  readonly #encryption: Encryption;
  readonly #logger: Logger;
  readonly #intents: CrossSigningIntents;
  readonly #oneAtATime = new Mutex();
  readonly #signedBy: SignedBy;

  constructor({ api, encryption, logger = silentLogger }: CrossSigningParts) {
    this.#api = api;
    this.#encryption = encryption;
    this.#logger = logger;
    this.#signedBy = new SignedBy(encryption, "trust");
    this.#intents = new CrossSigningIntents(encryption, "trust");
  }

  /** Asks the homeserver, and tells the engine of the answer. */
  async status(signal?: AbortSignal): Promise<CrossSigningStatus> {
    const { published, privateKeys, deviceSigned } = await this.#look(signal);
    return { published, privateKeys, deviceSigned };
  }

  /**
   * Sees to it that the account has a cross-signing identity, that this device
   * has its private keys, and that it is signed. An identity that is published
   * is never replaced, unless `reset` is said. Private keys are durable before
   * anything of them is uploaded; after a crash the same call finishes.
   *
   * @throws `MatrixClientError` `ALREADY_SET_UP` where the account has an identity whose private keys are neither
   * here nor in the secret storage that was given; `LOGIN_REFUSED` where the homeserver wants more proof of who its
   * user is; `CONFIG` for a reset without any; what requests and `Encryption.run` throw
   */
  bootstrap(options: BootstrapOptions = {}): Promise<BootstrapOutcome> {
    return this.#oneAtATime.runExclusive(() => this.#bootstrap(options));
  }

  /**
   * The public master key of an identity of the account that does not sign this
   * device, where another one did; `undefined` in all other cases. The engine is
   * asked, which learns of it from syncs, and not the homeserver.
   *
   * @throws what `Encryption.run` throws
   */
  replacement(): Promise<string | undefined> {
    // Behind what this device itself is at: a new identity signs it last.
    return this.#oneAtATime.runExclusive(() =>
      this.#encryption.run(async (machine) => {
        const signed = (await ownDevice(machine, this.#encryption))?.isCrossSignedByOwner() ?? false;
        const signedBy = await this.#signedBy.get();
        if (signed && signedBy === undefined) await this.#signedBy.note(UNNAMED);
        if (signed || signedBy === undefined) return undefined;
        // Last: it waits for up to a second where the homeserver is about to be asked for this user's keys.
        const identity = await machine.getIdentity(new UserId(this.#encryption.userId));
        if (!(identity instanceof OwnUserIdentity)) return undefined;
        const masterKey = publicKeyOf(parseObject(identity.masterKey));
        return signedBy === masterKey ? undefined : masterKey;
      }),
    );
  }

  async #bootstrap(options: BootstrapOptions): Promise<BootstrapOutcome> {
    const { storage, signal } = options;
    // The device's own keys come first: a homeserver keeps no signature of keys that it does not have.
    const unsent = await this.#encryption.flush().then(
      () => undefined,
      (error: unknown) => error,
    );
    signal?.throwIfAborted();
    const begun = await this.#intents.get();
    const shown = await this.#query(signal);
    if (!shown.identity.deviceShown) {
      throw unsent ?? new MatrixClientError("NOT_SET_UP", "the homeserver does not show this device's keys yet");
    }
    const { masterKey } = shown.identity;
    if (begun !== undefined && (masterKey === intendedMasterKey(begun) || (masterKey ?? null) === begun.replaces)) {
      await this.#finish(begun, masterKey, options);
      return "completed";
    }
    if (begun !== undefined) {
      this.#logger.warn(
        "Another device has published a cross-signing identity meanwhile: the one begun here is dropped",
      );
      await this.#intents.drop();
    }
    if (options.reset) {
      if (masterKey !== undefined && options.password === undefined && options.auth === undefined) {
        throw new MatrixClientError(
          "CONFIG",
          "to replace a cross-signing identity, say the password or how to authenticate",
        );
      }
      await this.#finish(await this.#intents.make(masterKey, "new"), masterKey, options);
      return "created";
    }
    const look = await this.#tell(shown);
    if (masterKey === undefined) {
      await this.#finish(
        await this.#intents.make(undefined, look.privateKeys ? "existing" : "new"),
        undefined,
        options,
      );
      return "created";
    }
    if (!look.privateKeys) await this.#import(storage, signal);
    const signed = look.deviceSigned ? false : await this.#signDevice(signal);
    if (storage !== undefined && look.privateKeys) await this.#store(storage, signal);
    if (!look.privateKeys) return "imported";
    return signed ? "completed" : "unchanged";
  }

  /** Publishes an identity whose private keys are durable, and signs this device with it. */
  async #finish(intent: CrossSigningIntent, published: string | undefined, options: BootstrapOptions): Promise<void> {
    const { signal, storage } = options;
    const masterKey = intendedMasterKey(intent);
    if (published !== masterKey) await this.#upload(intent, options);
    const look = await this.#look(signal);
    if (look.masterKey !== masterKey) {
      throw new MatrixClientError(
        "HOMESERVER_UNREACHABLE",
        "the homeserver took the cross-signing identity and does not show it",
      );
    }
    // Gone where the homeserver still showed the former identity to the engine after these were made.
    if (!look.privateKeys) await this.#importKeys(intent.privateKeys);
    if (!look.deviceSigned) await this.#signDevice(signal);
    if (storage !== undefined) await storeKeys(storage, intent.privateKeys, signal);
    await this.#intents.drop();
    this.#logger.info("The account's cross-signing identity is published, and this device is signed");
  }

  async #upload(intent: CrossSigningIntent, options: BootstrapOptions): Promise<void> {
    const keys = parseObject(intent.upload) ?? {};
    const send = (auth: JsonObject | undefined): Promise<JsonObject> =>
      this.#api.request("POST", "/v3/keys/device_signing/upload", {
        body: auth === undefined ? keys : { ...keys, auth },
        signal: options.signal,
      });
    await requestWithAuth(send, this.#encryption.userId, options);
  }

  async #import(storage: OpenSecretStorage | undefined, signal: AbortSignal | undefined): Promise<void> {
    const keys = storage && (await readStoredKeys(storage, signal));
    if (keys === undefined) {
      const where = storage === undefined ? "secret storage was not opened" : "they are not in secret storage";
      throw new MatrixClientError(
        "ALREADY_SET_UP",
        `the account has a cross-signing identity whose private keys this device does not have, and ${where}: open secret storage, verify this device from another one, or reset the identity`,
      );
    }
    await this.#importKeys(keys);
  }

  async #importKeys(keys: PrivateKeys): Promise<void> {
    const complete = await this.#encryption.run(async (machine) => {
      // Keys of another identity are refused, by an error or by leaving them out.
      await machine.importCrossSigningKeys(keys.master, keys.selfSigning, keys.userSigning).catch(() => undefined);
      return hasPrivateKeys(machine);
    });
    if (!complete) {
      throw new MatrixClientError(
        "ALREADY_SET_UP",
        "the private cross-signing keys in secret storage are not those of the identity that the account publishes: verify this device from another one, or reset the identity",
      );
    }
  }

  async #store(storage: OpenSecretStorage, signal: AbortSignal | undefined): Promise<void> {
    const keys = await this.#encryption.run(exportPrivateKeys);
    if (keys !== undefined) await storeKeys(storage, keys, signal);
  }

  async #signDevice(signal: AbortSignal | undefined): Promise<true> {
    const request = await this.#encryption.run(async (machine) => {
      const device = await ownDevice(machine, this.#encryption);
      return device && engineRequest(await device.verify());
    });
    if (request !== undefined) await this.#encryption.send(request, signal);
    if (!(await this.#look(signal)).deviceSigned) {
      throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver does not show this device's signature");
    }
    return true;
  }

  async #look(signal: AbortSignal | undefined): Promise<Look> {
    return this.#tell(await this.#query(signal));
  }

  async #query(signal: AbortSignal | undefined): Promise<Query> {
    const { userId, deviceId } = this.#encryption;
    const request = await this.#encryption.run(async (machine) =>
      engineRequest(machine.queryKeysForUsers([new UserId(userId)])),
    );
    const { body } = request;
    const answer = await this.#api.request("POST", "/v3/keys/query", { body, signal, retry: "safe" });
    return { request, answer, identity: publishedIdentity(answer, userId, deviceId) };
  }

  /** Tells the engine of what was shown: it then drops private keys of another identity. */
  #tell({ request, answer, identity }: Query): Promise<Look> {
    return this.#encryption.run(async (machine) => {
      if (request.id !== undefined) {
        await machine.markRequestAsSent(request.id, RequestType.KeysQuery, JSON.stringify(answer));
      }
      const deviceSigned = (await ownDevice(machine, this.#encryption))?.isCrossSignedByOwner() ?? false;
      if (deviceSigned && identity.masterKey !== undefined) await this.#signedBy.note(identity.masterKey);
      return {
        ...identity,
        published: identity.masterKey !== undefined,
        privateKeys: await hasPrivateKeys(machine),
        deviceSigned,
      };
    });
  }
}

interface Query {
  readonly request: EngineRequest;
  readonly answer: JsonObject;
  readonly identity: PublishedIdentity;
}

function ownDevice(machine: OlmMachine, { userId, deviceId }: Encryption): ReturnType<OlmMachine["getDevice"]> {
  return machine.getDevice(new UserId(userId), new DeviceId(deviceId));
}

async function hasPrivateKeys(machine: OlmMachine): Promise<boolean> {
  const { hasMaster, hasSelfSigning, hasUserSigning } = await machine.crossSigningStatus();
  return hasMaster && hasSelfSigning && hasUserSigning;
}
