import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { rateLimit } from "../http/homeserver-error.ts";
import { objectOf, textOf } from "../http/json.ts";

/** The public half of a device's identity, in unpadded base64. */
export interface DeviceIdentity {
  readonly curve25519: string;
  readonly ed25519: string;
}

/** Whose keys are asked for, and which they should be. */
export interface GuardedDevice {
  readonly userId: string;
  readonly deviceId: string;
  readonly identity: DeviceIdentity;
}

/**
 * Asks the homeserver which keys it shows for this device: `"unknown"` where it
 * shows none, `"equal"` where it shows ours.
 *
 * @throws `IDENTITY_CONFLICT` where it shows others: whoever holds those is this
 * device for everybody, and an upload of ours would cut them off; what
 * `HomeserverApi.request` throws: an answer that did not come says nothing
 */
export async function checkIdentity(
  api: HomeserverApi,
  device: GuardedDevice,
  signal?: AbortSignal,
): Promise<"unknown" | "equal"> {
  const { userId, deviceId, identity } = device;
  const body = { device_keys: { [userId]: [deviceId] } };
  const answer = await api.request("POST", "/v3/keys/query", { body, signal, retry: "safe" }).catch((error) => {
    if (rateLimit(error) === undefined) throw error;
    const message = "the homeserver wants to be asked for this device's keys later";
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", message, { cause: error });
  });
  const shown = identityShown(answer, userId, deviceId);
  if (shown === undefined && Object.keys(objectOf(answer.failures) ?? {}).length > 0) {
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver could not look up this device's keys now");
  }
  if (shown === undefined) return "unknown";
  if (shown.ed25519 === identity.ed25519 && shown.curve25519 === identity.curve25519) return "equal";
  throw new MatrixClientError(
    "IDENTITY_CONFLICT",
    `the homeserver knows device ${deviceId} of ${userId} with other keys (ed25519 ${shown.ed25519}) than this key store holds (ed25519 ${identity.ed25519}): restore the key store that holds them, or log in as a new device, under another device id`,
  );
}

/** A homeserver that leaves our user out of its answer shows nothing of us. */
function identityShown(answer: JsonObject, userId: string, deviceId: string): DeviceIdentity | undefined {
  const users = objectOf(answer.device_keys);
  if (users === undefined) {
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver answered a query for keys without any");
  }
  const device = objectOf(objectOf(users[userId])?.[deviceId]);
  if (device === undefined) return undefined;
  const keys = objectOf(device.keys);
  return {
    curve25519: textOf(keys?.[`curve25519:${deviceId}`]) ?? "none",
    ed25519: textOf(keys?.[`ed25519:${deviceId}`]) ?? "none",
  };
}
