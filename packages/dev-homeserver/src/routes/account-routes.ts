import { randomUUID } from "node:crypto";
import { type JsonObject, objectIn, optionalStringIn, stringIn } from "../http/json.ts";
import { MatrixError, Reauthenticate } from "../http/matrix-error.ts";
import { authenticated, open, type Route } from "../http/router.ts";
import type { Tokens } from "../state/sessions.ts";
import type { Services } from "./services.ts";

const CLIENT = "/_matrix/client/v3";
const LOGIN_TOKEN_MS = 120_000;

/** Registration, login, tokens, and who one is. */
export function accountRoutes(services: Services): Route[] {
  const { accounts, reauthentication, sessions } = services;
  return [
    open("POST", `${CLIENT}/register`, ({ body }) => {
      const auth = objectIn(body, "auth");
      if (auth.type !== "m.login.dummy") throw new Reauthenticate("m.login.dummy", randomUUID());
      const username = optionalStringIn(body, "username") ?? randomUUID();
      const userId = registerUser(services, username, stringIn(body, "password"));
      return body.inhibit_login === true ? { user_id: userId } : logIn(services, userId, body);
    }),
    open("GET", `${CLIENT}/login`, () => ({
      flows: [{ type: "m.login.token", get_login_token: true }, { type: "m.login.password" }],
    })),
    open("POST", `${CLIENT}/login`, ({ body }) => logIn(services, whoLogsIn(services, body), body)),
    authenticated("POST", "/_matrix/client/v1/login/get_token", ({ device }) => ({
      login_token: sessions.loginToken(device.userId),
      expires_in_ms: LOGIN_TOKEN_MS,
    })),
    open("POST", `${CLIENT}/refresh`, ({ body }) => tokensReply(sessions.refresh(stringIn(body, "refresh_token")))),
    authenticated("POST", `${CLIENT}/logout`, ({ device }) => {
      services.endDevice(device);
      return {};
    }),
    authenticated("POST", `${CLIENT}/logout/all`, ({ device }) => {
      for (const each of accounts.devicesOf(device.userId)) services.endDevice(each);
      return {};
    }),
    authenticated("POST", `${CLIENT}/account/password`, ({ device, body }) => {
      reauthentication.demand(device, body);
      accounts.setPassword(device.userId, stringIn(body, "new_password"));
      for (const each of body.logout_devices === false ? [] : accounts.devicesOf(device.userId)) {
        if (each !== device) services.endDevice(each);
      }
      return {};
    }),
    authenticated("GET", `${CLIENT}/account/whoami`, ({ device }) => ({
      user_id: device.userId,
      device_id: device.deviceId,
      is_guest: false,
    })),
  ];
}

/**
 * Makes a user, named as it is called until it says otherwise.
 *
 * @throws MatrixError `M_INVALID_USERNAME`, `M_USER_IN_USE`
 */
export function registerUser({ accounts, profiles }: Services, username: string, password: string): string {
  const userId = accounts.register(username, password);
  profiles.set(userId, { displayname: username });
  return userId;
}

function whoLogsIn({ accounts, sessions }: Services, body: JsonObject): string {
  if (body.type === "m.login.token") {
    const userId = sessions.redeem(stringIn(body, "token"));
    if (userId === undefined) throw new MatrixError(403, "M_FORBIDDEN", "Invalid login token");
    return userId;
  }
  if (body.type !== "m.login.password") {
    throw new MatrixError(400, "M_INVALID_PARAM", "Unknown login type");
  }
  const userId = accounts.userId(optionalStringIn(objectIn(body, "identifier"), "user") ?? stringIn(body, "user"));
  if (!accounts.passwordMatches(userId, stringIn(body, "password"))) {
    throw new MatrixError(403, "M_FORBIDDEN", "Invalid username or password");
  }
  return userId;
}

function logIn({ accounts, sessions }: Services, userId: string, body: JsonObject): JsonObject {
  const device = accounts.openDevice(userId, {
    deviceId: optionalStringIn(body, "device_id"),
    displayName: optionalStringIn(body, "initial_device_display_name"),
  });
  const tokens = tokensReply(sessions.open(device, body.refresh_token === true));
  return {
    user_id: device.userId,
    device_id: device.deviceId,
    home_server: userId.slice(userId.indexOf(":") + 1),
    ...tokens,
  };
}

function tokensReply({ accessToken, refreshToken, expiresInMs }: Tokens): JsonObject {
  return {
    access_token: accessToken,
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken, expires_in_ms: expiresInMs }),
  };
}
