import type { AuthenticatedCall } from "../http/call.ts";
import { type JsonObject, optionalStringIn, stringsIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, type Route } from "../http/router.ts";
import type { Device } from "../state/accounts.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";

/** A user's own devices. */
export function deviceRoutes(services: Services): Route[] {
  const { accounts, deviceLists, reauthentication } = services;
  const own = (call: AuthenticatedCall): Device => {
    const device = accounts.device(call.device.userId, parameter(call, "deviceId"));
    if (device === undefined) throw new MatrixError(404, "M_NOT_FOUND", "No device found");
    return device;
  };
  const end = (call: AuthenticatedCall, deviceIds: readonly string[]): JsonObject => {
    reauthentication.demand(call.device, call.body);
    for (const deviceId of deviceIds) {
      const device = accounts.device(call.device.userId, deviceId);
      if (device !== undefined) services.endDevice(device);
    }
    return {};
  };
  return [
    authenticated("GET", `${CLIENT}/devices`, ({ device }) => ({
      devices: accounts.devicesOf(device.userId).map(deviceReply),
    })),
    authenticated("GET", `${CLIENT}/devices/{deviceId}`, (call) => deviceReply(own(call))),
    authenticated("PUT", `${CLIENT}/devices/{deviceId}`, (call) => {
      const name = optionalStringIn(call.body, "display_name");
      const { userId, deviceId } = own(call);
      if (name !== undefined) {
        accounts.rename(userId, deviceId, name);
        deviceLists.changed(userId);
      }
      return {};
    }),
    authenticated("DELETE", `${CLIENT}/devices/{deviceId}`, (call) => end(call, [parameter(call, "deviceId")])),
    authenticated("POST", `${CLIENT}/delete_devices`, (call) => end(call, stringsIn(call.body, "devices"))),
  ];
}

function deviceReply({ userId, deviceId, displayName }: Device): JsonObject {
  return { user_id: userId, device_id: deviceId, display_name: displayName ?? null };
}
