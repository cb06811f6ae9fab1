import { randomUUID } from "node:crypto";
import { type JsonObject, objectIn, optionalStringIn, stringIn } from "../http/json.ts";
import { MatrixError, Reauthenticate } from "../http/matrix-error.ts";
import { authenticated, open, type Route } from "../http/router.ts";
import type { Accounts, Login } from "../state/accounts.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";

/** Registration, login, and who one is. */
export function accountRoutes({ accounts, keys, toDevice }: Services): Route[] {
  return [
    open("GET", "/_matrix/client/versions", () => ({
      versions: Array.from({ length: 11 }, (_, index) => `v1.${index + 1}`),
      unstable_features: {},
    })),
    open("POST", `${CLIENT}/register`, ({ body }) => {
      const auth = objectIn(body, "auth");
      if (auth.type !== "m.login.dummy") throw new Reauthenticate("m.login.dummy", randomUUID());
      const userId = accounts.register(optionalStringIn(body, "username") ?? randomUUID(), stringIn(body, "password"));
      return body.inhibit_login === true ? { user_id: userId } : loginReply(loginWith(accounts, userId, body));
    }),
    open("GET", `${CLIENT}/login`, () => ({ flows: [{ type: "m.login.password" }] })),
    open("POST", `${CLIENT}/login`, ({ body }) => {
      if (body.type !== "m.login.password") throw new MatrixError(400, "M_UNKNOWN", "there is only m.login.password");
      const user = optionalStringIn(objectIn(body, "identifier"), "user") ?? stringIn(body, "user");
      const userId = accounts.userId(user);
      if (!accounts.passwordMatches(userId, stringIn(body, "password"))) {
        throw new MatrixError(403, "M_FORBIDDEN", "the username or the password is wrong");
      }
      return loginReply(loginWith(accounts, userId, body));
    }),
    authenticated("POST", `${CLIENT}/logout`, ({ device }) => {
      keys.forget(device);
      toDevice.forget(device);
      accounts.logout(device);
      return {};
    }),
    authenticated("GET", `${CLIENT}/account/whoami`, ({ device }) => ({
      user_id: device.userId,
      device_id: device.deviceId,
      is_guest: false,
    })),
  ];
}

function loginWith(accounts: Accounts, userId: string, body: JsonObject): Login {
  return accounts.login(userId, {
    deviceId: optionalStringIn(body, "device_id"),
    displayName: optionalStringIn(body, "initial_device_display_name"),
  });
}

function loginReply({ device, accessToken }: Login): JsonObject {
  return { user_id: device.userId, device_id: device.deviceId, access_token: accessToken };
}
