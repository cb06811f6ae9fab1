import { describe, expect, it } from "vitest";
import { openEngine } from "../src/engine/open-olm-machine.ts";
import { sessionStore } from "../src/session/session-store.ts";
import type { SessionTokens } from "../src/session/session-tokens.ts";
import { type StartSessionOptions, startSession } from "../src/session/start-session.ts";
import { makePlace, PASSWORD, type Place, USER } from "./support/session-place.ts";

const KEY = new Uint8Array(32).fill(9);

/** What a client does when it starts: the session first, then the engine, then the two together. */
async function start(place: Place, options: Partial<StartSessionOptions> = {}): Promise<SessionTokens> {
  await using keyStore = await place.keyStore();
  const tokens = await startSession({
    baseUrl: place.server.url,
    userId: USER,
    credentials: { type: "password", password: PASSWORD },
    keyStore,
    key: KEY,
    ...options,
  });
  const { deviceId } = tokens.session;
  const { engine, collection } = await openEngine({ keyStore, userId: USER, deviceId, key: KEY });
  await tokens.attach(sessionStore(engine.deviceStore, collection));
  await engine.close();
  return tokens;
}

const logins = ({ calls }: Place) => calls.filter((call) => call === "POST /login").length;

describe("a client that starts by password", () => {
  it("is the same device after a restart, without another login", async () => {
    await using place = await makePlace();
    const { session } = await start(place);
    const again = await start(place);
    expect(again.session.toRecord()).toEqual(session.toRecord());
    expect(logins(place)).toBe(1);
  });

  it("is the configured device, in a store that knows nothing of it", async () => {
    await using place = await makePlace();
    expect((await start(place, { deviceId: "CONFIGURED" })).session.deviceId).toBe("CONFIGURED");
    expect((await start(place)).session.deviceId).toBe("CONFIGURED");
    expect(logins(place)).toBe(1);
  });

  it("goes on as the configured device while the store is away", async () => {
    await using place = await makePlace();
    const { session } = await start(place, { deviceId: "CONFIGURED" });
    const away = await start(place, { deviceId: "CONFIGURED", keyStore: undefined });
    expect([away.session.deviceId, logins(place)]).toEqual(["CONFIGURED", 2]);
    expect(away.session.accessToken).not.toBe(session.accessToken);
  });

  it("leaves nothing in the store for a device whose engine was not opened", async () => {
    await using place = await makePlace();
    await using keyStore = await place.keyStore();
    const credentials = { type: "password", password: PASSWORD } as const;
    const options = { baseUrl: place.server.url, userId: USER, credentials, keyStore, key: KEY };
    await startSession(options);
    await startSession({ ...options, deviceId: "CONFIGURED" });
    expect(await keyStore.listDevices()).toEqual([]);
  });

  it("is refused under another key than the one that its session is sealed under", async () => {
    await using place = await makePlace();
    await start(place);
    await expect(start(place, { key: new Uint8Array(32) })).rejects.toMatchObject({ code: "ERR_KEY_STORE_WRONG_KEY" });
  });
});

describe("a client that starts otherwise", () => {
  it("with a login token, uses it once", async () => {
    await using place = await makePlace();
    const credentials = { type: "login-token", token: place.server.loginToken(USER) } as const;
    const { session } = await start(place, { credentials });
    expect((await start(place, { credentials })).session.deviceId).toBe(session.deviceId);
    expect(logins(place)).toBe(1);
  });

  it("with an access token, keeps nothing of it", async () => {
    await using place = await makePlace();
    const { accessToken } = (await place.session()).session;
    const { session } = await start(place, { credentials: { type: "access-token", accessToken } });
    await using open = await place.open(session.deviceId);
    expect(await open.deviceStore.count("client/session")).toBe(0);
  });
});
