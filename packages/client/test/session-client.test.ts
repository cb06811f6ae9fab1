import { type KeyStore, silentLogger } from "@holdfast/key-store-core";
import { describe, expect, it } from "vitest";
import { openEngine } from "../src/engine/open-olm-machine.ts";
import { createHomeserverApi } from "../src/http/create-homeserver-api.ts";
import { ClientSession, type ClientSessionOptions } from "../src/session/client-session.ts";
import { makePlace, PASSWORD, type Place, USER } from "./support/session-place.ts";

const KEY = new Uint8Array(32).fill(9);

/** What a client does when it starts: the device first, then its engine, then its session. Answers with who it is. */
async function start(
  place: Place,
  { away = false, ...options }: Partial<ClientSessionOptions> & { readonly away?: boolean } = {},
): Promise<string> {
  await using keyStore = await place.keyStore();
  const session = await ClientSession.begin(
    {
      baseUrl: place.server.url,
      credentials: { type: "password", password: PASSWORD },
      userId: USER,
      deviceId: undefined,
      deviceDisplayName: "Bot",
      logger: silentLogger,
      lease: {},
      signal: AbortSignal.timeout(30_000),
      ...options,
    },
    stores(away ? [] : [keyStore]),
  );
  if (away) {
    await session.openedWithout();
  } else {
    const opened = await openEngine({ keyStore, ...session.device, key: KEY });
    await session.opened(opened);
    await opened.engine.close();
  }
  const api = createHomeserverApi({ baseUrl: place.server.url, tokens: session });
  const { device_id } = await api.request("GET", "/v3/account/whoami");
  expect(device_id).toBe(session.device.deviceId);
  return session.device.deviceId;
}

async function* stores(keyStores: readonly KeyStore[]): AsyncGenerator<KeyStore> {
  yield* keyStores;
}

const logins = ({ calls }: Place) => calls.filter((call) => call === "POST /login").length;

describe("a client that starts by password", () => {
  it("is the same device after a restart, without another login", async () => {
    await using place = await makePlace();
    expect([await start(place), logins(place)]).toEqual([await start(place), 1]);
    expect(logins(place)).toBe(1);
  });

  it("is the configured device, and without that the one that it was", async () => {
    await using place = await makePlace();
    expect(await start(place, { deviceId: "CONFIGURED" })).toBe("CONFIGURED");
    expect(await start(place)).toBe("CONFIGURED");
    expect(logins(place)).toBe(1);
  });

  it("is the configured device while the store is away, and when it is there again", async () => {
    await using place = await makePlace();
    const deviceId = "CONFIGURED";
    expect(await start(place, { deviceId })).toBe(deviceId);
    expect(await start(place, { deviceId, away: true })).toBe(deviceId);
    expect(await start(place, { deviceId })).toBe(deviceId);
    // The login without the store has not ended the tokens that are in it.
    expect(logins(place)).toBe(2);
  });
});

describe("a client that starts otherwise", () => {
  it("with a login token, uses it once, whether it knows its user or not", async () => {
    for (const userId of [USER, undefined]) {
      await using place = await makePlace();
      const credentials = { type: "login-token", token: place.server.loginToken(USER) } as const;
      const device = await start(place, { credentials, userId });
      expect(await start(place, { credentials })).toBe(device);
      expect(logins(place)).toBe(1);
    }
  });

  it("with an access token, keeps nothing of it", async () => {
    await using place = await makePlace();
    const { accessToken, deviceId } = (await place.session()).session;
    expect(await start(place, { credentials: { type: "access-token", accessToken } })).toBe(deviceId);
    await using open = await place.open(deviceId);
    expect(await open.deviceStore.count("client/session")).toBe(0);
  });
});
