import { isDeepStrictEqual } from "node:util";
import { isObject, type JsonObject, objectIn, optionalStringIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import type { Accounts, Device } from "./accounts.ts";
import { CrossSigningKeys } from "./cross-signing.ts";
import type { DeviceLists } from "./device-lists.ts";
import { DeviceMap } from "./device-map.ts";
import { OneTimeKeys } from "./one-time-keys.ts";
import { withSignatures } from "./signatures.ts";

interface PublishedKeys {
  device: JsonObject | undefined;
  readonly oneTime: OneTimeKeys;
}

/** The public keys of all devices: what `/keys/*` keeps. Signatures are stored as they come, not verified. */
export class Keys {
  readonly crossSigning: CrossSigningKeys;
  readonly #accounts: Accounts;
  readonly #deviceLists: DeviceLists;
  readonly #published = new DeviceMap<PublishedKeys>();

  constructor(accounts: Accounts, deviceLists: DeviceLists) {
    this.#accounts = accounts;
    this.#deviceLists = deviceLists;
    this.crossSigning = new CrossSigningKeys();
  }

  /**
   * Takes a device's own keys in, in this order: identity keys, which replace
   * the former ones whatever they were; one-time keys; fallback keys.
   *
   * @throws MatrixError as {@link OneTimeKeys.add} does; the identity keys are then already taken
   */
  upload(device: Device, body: JsonObject): JsonObject {
    const keys = this.#of(device);
    const identity = body.device_keys;
    if (isObject(identity)) {
      if (identity.user_id !== device.userId || identity.device_id !== device.deviceId) {
        throw new MatrixError(400, "M_BAD_JSON", "device_keys are for another device than the access token's");
      }
      if (!isDeepStrictEqual(keys.device, identity)) {
        keys.device = identity;
        this.#deviceLists.changed(device.userId);
      }
    }
    keys.oneTime.add(objectIn(body, "one_time_keys"));
    keys.oneTime.setFallback(objectIn(body, "fallback_keys"));
    return { one_time_key_counts: keys.oneTime.counts() };
  }

  /** The answer to `/keys/query`: an empty list of device ids asks for all of a user's devices. */
  query(requester: Device, wanted: JsonObject): JsonObject {
    const deviceKeys: JsonObject = {};
    for (const [userId, deviceIds] of Object.entries(wanted)) {
      const listed: JsonObject = {};
      for (const device of this.#accounts.devicesOf(userId)) {
        const keys = this.#published.get(userId, device.deviceId)?.device;
        const asked = !Array.isArray(deviceIds) || deviceIds.length === 0 || deviceIds.includes(device.deviceId);
        if (keys === undefined || !asked) continue;
        listed[device.deviceId] =
          device.displayName === undefined ? keys : { ...keys, unsigned: { device_display_name: device.displayName } };
      }
      deviceKeys[userId] = listed;
    }
    return {
      device_keys: deviceKeys,
      failures: {},
      ...this.crossSigning.query(requester.userId, Object.keys(wanted)),
    };
  }

  /** The answer to `/keys/claim`. Devices without a key to give are left out. */
  claim(wanted: JsonObject): JsonObject {
    const claimed: Record<string, JsonObject> = {};
    for (const userId of Object.keys(wanted)) {
      const devices = objectIn(wanted, userId);
      for (const deviceId of Object.keys(devices)) {
        const algorithm = optionalStringIn(devices, deviceId) ?? "";
        const key = this.#published.get(userId, deviceId)?.oneTime.claim(algorithm);
        if (key === undefined) continue;
        claimed[userId] = { ...claimed[userId], [deviceId]: { [key.id]: key.key } };
      }
    }
    return { one_time_keys: claimed, failures: {} };
  }

  /**
   * Adds signatures to the keys that they sign. Each key that is not there is reported among the failures.
   */
  addSignatures(signer: Device, body: JsonObject): JsonObject {
    const failures: Record<string, JsonObject> = {};
    for (const userId of Object.keys(body)) {
      const objects = objectIn(body, userId);
      for (const keyId of Object.keys(objects)) {
        if (this.#addSignature(signer, userId, keyId, objectIn(objects, keyId))) continue;
        const failure = { errcode: "M_NOT_FOUND", error: "there is no such key" };
        failures[userId] = { ...failures[userId], [keyId]: failure };
      }
      this.#deviceLists.changed(userId);
    }
    return { failures };
  }

  /** The one-time and fallback keys that a device has published. */
  oneTimeKeys(device: Device): OneTimeKeys {
    return this.#of(device).oneTime;
  }

  forget(device: Device): void {
    if (this.#published.get(device.userId, device.deviceId)?.device !== undefined) {
      this.#deviceLists.changed(device.userId);
    }
    this.#published.delete(device);
  }

  #of(device: Device): PublishedKeys {
    return this.#published.getOrMake(device, () => ({ device: undefined, oneTime: new OneTimeKeys() }));
  }

  #addSignature(signer: Device, userId: string, keyId: string, signed: JsonObject): boolean {
    const keys = this.#published.get(userId, keyId);
    if (keys?.device === undefined) return this.crossSigning.addSignature(signer.userId, userId, keyId, signed);
    keys.device = withSignatures(keys.device, objectIn(objectIn(signed, "signatures"), signer.userId), signer.userId);
    return true;
  }
}
