import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/homeserver-api.ts";
import { objectOf, parseObject, textOf } from "../http/json.ts";
import type { GuardedDevice } from "./identity-guard.ts";

/**
 * The device's public keys as `/keys/upload` takes them (Client-Server API,
 * `DeviceKeys`), signed by the device. The engine itself gives them only until they were uploaded.
 */
export async function signedDeviceKeys(machine: OlmMachine, device: GuardedDevice): Promise<JsonObject> {
  const { userId, deviceId, identity } = device;
  const keyId = `ed25519:${deviceId}`;
  // In the order of canonical JSON: this text is what is signed.
  const keys = {
    algorithms: ["m.megolm.v1.aes-sha2", "m.olm.v1.curve25519-aes-sha2"],
    device_id: deviceId,
    keys: { [`curve25519:${deviceId}`]: identity.curve25519, [keyId]: identity.ed25519 },
    user_id: userId,
  };
  const signatures = parseObject((await machine.sign(JSON.stringify(keys))).asJSON());
  const signature = textOf(objectOf(signatures?.[userId])?.[keyId]);
  if (signature === undefined) throw new TypeError("the crypto engine has not signed with the device's key");
  return { ...keys, signatures: { [userId]: { [keyId]: signature } } };
}
