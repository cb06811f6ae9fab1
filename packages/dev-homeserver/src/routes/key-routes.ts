import type { AuthenticatedCall } from "../http/call.ts";
import { isObject, type JsonObject, objectIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import { parseSyncToken } from "../state/sync-token.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";

/** Device keys, one-time keys, cross-signing, and messages from device to device. */
export function keyRoutes(services: Services): Route[] {
  const { deviceLists, keys, toDevice, transactions } = services;
  return [
    authenticated("POST", `${CLIENT}/keys/upload`, ({ device, body }) => keys.upload(device, body)),
    authenticated("POST", `${CLIENT}/keys/query`, ({ device, body }) =>
      keys.query(device, objectIn(body, "device_keys")),
    ),
    authenticated("POST", `${CLIENT}/keys/claim`, ({ body }) => keys.claim(objectIn(body, "one_time_keys"))),
    authenticated("GET", `${CLIENT}/keys/changes`, ({ device, query }) => {
      const { stream } = parseSyncToken(query.get("from") ?? "");
      return { ...deviceLists.after(device.userId, stream) };
    }),
    authenticated("POST", `${CLIENT}/keys/device_signing/upload`, (call) => uploadSigningKeys(services, call)),
    authenticated("POST", `${CLIENT}/keys/signatures/upload`, ({ device, body }) => keys.addSignatures(device, body)),
    authenticated("PUT", `${CLIENT}/sendToDevice/{eventType}/{txnId}`, (call) => {
      const type = parameter(call, "eventType");
      return transactions.once(call.device, ["sendToDevice", type], parameter(call, "txnId"), () => {
        toDevice.send(call.device, type, messagesIn(call.body));
        return {};
      });
    }),
  ];
}

/** First keys are taken as they are, and identical ones again; keys that replace others need the user's password. */
function uploadSigningKeys(services: Services, { device, body }: AuthenticatedCall): JsonObject {
  const { keys, deviceLists, reauthentication } = services;
  if (!keys.crossSigning.changes(device.userId, body)) return {};
  if (keys.crossSigning.isSetUp(device.userId) || services.alwaysReauthenticate) {
    reauthentication.demand(device, body);
  }
  keys.crossSigning.upload(device.userId, body);
  deviceLists.changed(device.userId);
  return {};
}

function messagesIn(body: JsonObject): Map<string, Map<string, JsonObject>> {
  const messages = new Map<string, Map<string, JsonObject>>();
  for (const [userId, devices] of Object.entries(objectIn(body, "messages"))) {
    if (!isObject(devices)) throw new MatrixError(400, "M_BAD_JSON", "messages must be by user and device");
    messages.set(userId, new Map(Object.keys(devices).map((deviceId) => [deviceId, objectIn(devices, deviceId)])));
  }
  return messages;
}
